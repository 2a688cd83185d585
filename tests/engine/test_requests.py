"""What clients see of a running server beyond the recorded answers: flags, transports, metrics, hostile input."""

from __future__ import annotations

import gzip
import json
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


@pytest.fixture(scope="module")
def model(kits: Kits, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The flag that serves kit 1 as `default`."""
    base = tmp_path_factory.mktemp("default")
    kits.publish(base, "1", 1)
    return f"--model_base_path={base}"


@pytest.fixture(scope="module")
def plain(shared_engine: Engine, kits: Kits, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A server with no flags that serves kit 1 as `default`."""
    base = tmp_path_factory.mktemp("plain") / "default"
    kits.publish(base, "1", 1)
    shared_engine.serve(base)
    return shared_engine


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `flagged` listens as well."""
    return tmp_path_factory.mktemp("socket") / "grpc.sock"


@pytest.fixture(scope="module")
def flagged(model: str, socket_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server with all the flags at once that change what clients see."""
    folder = tmp_path_factory.mktemp("flagged")
    config = folder / "monitoring.config"
    config.write_text('prometheus_config { enable: true path: "/metrics" }')
    flags = (
        model,
        "--rest_api_enable_cors_support=true",
        "--rest_api_timeout_in_ms=3000",
        "--enable_serialization_as_tensor_content",
        "--enable_grpc_healthcheck_service",
        "--enable_signature_method_name_check",
        f"--grpc_socket_path={socket_path}",
        f"--monitoring_config_file={config}",
    )
    engine = Engine(folder / "engine.log", flags)
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.kill()


def predict_request() -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "default"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2)
    tensor.float_val.extend([1.0, 2.0])
    return request


def stub(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def failure(call: Any, *arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    error: Any = caught.value
    return error.code().name, error.details()


def test_cors(flagged: Engine) -> None:
    engine = flagged
    for path in ("default", "nope"):
        answer = requests.get(engine.url(path), timeout=30)
        assert {name: answer.headers.get(name) for name in CORS} == CORS
    preflight = requests.options(engine.url("default:predict"), headers={"Origin": "https://a.example"}, timeout=30)
    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    page = requests.get(f"http://127.0.0.1:{engine.rest_port}/", timeout=30)
    assert page.status_code == 404
    assert "Access-Control-Allow-Origin" not in page.headers


def test_a_rest_prediction_is_ended_after_its_time(flagged: Engine) -> None:
    engine = flagged
    body = json.dumps({"signature_name": "slow", "instances": [600.0]})
    answer = requests.post(engine.url("default:predict"), data=body, timeout=60)
    assert answer.status_code == 504
    assert answer.json() == {"error": "Timed out waiting for notification"}
    assert engine.predict("default", value=2.0) == 2.0


def test_a_call_is_ended_at_its_deadline(plain: Engine) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "default"
    request.model_spec.signature_name = "slow"
    request.inputs["seconds"].dtype = 1
    request.inputs["seconds"].tensor_shape.dim.add(size=1)
    request.inputs["seconds"].float_val.append(20.0)
    assert failure(stub(plain.channel).Predict, request, timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    plain.until(lambda: plain.predict("default", value=2.0) == 2.0)


def test_unreadable_calls_fail_without_a_text(plain: Engine) -> None:
    unary: Any = plain.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    assert failure(unary, b"\xff\xff", timeout=30) == ("INTERNAL", "")
    unknown: Any = plain.channel.unary_unary("/tensorflow.serving.PredictionService/Nope")
    assert failure(unknown, b"", timeout=30) == ("UNIMPLEMENTED", "")


def test_long_messages_are_cut(plain: Engine) -> None:
    request = predict_request()
    request.model_spec.name = "n" * 3000
    code, details = failure(stub(plain.channel).Predict, request, timeout=30)
    assert code == "NOT_FOUND"
    assert len(details) == 1024 + len("...TRUNCATED")
    assert details.endswith("nnn...TRUNCATED")


def test_a_large_tensor_passes(plain: Engine) -> None:
    request = predict_request()
    request.inputs["x"].tensor_shape.dim[0].size = 3_000_000
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{plain.grpc_port}", options=options) as channel:
        reply = stub(channel).Predict(request, timeout=60)
    assert len(reply.outputs["y"].float_val) == 3_000_000


def test_a_tensor_that_is_only_described_cannot_take_all_memory(plain: Engine) -> None:
    request = predict_request()
    request.inputs["x"].tensor_shape.dim[0].size = 10**12
    assert failure(stub(plain.channel).Predict, request, timeout=30) == (
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    )


def test_tensor_content(flagged: Engine) -> None:
    reply = stub(flagged.channel).Predict(predict_request(), timeout=30)
    assert struct.unpack("<2f", reply.outputs["y"].tensor_content) == (1.5, 2.0)
    assert not reply.outputs["y"].float_val


def test_unix_socket(flagged: Engine, socket_path: Path) -> None:
    with grpc.insecure_channel(f"unix:{socket_path}") as channel:
        assert stub(channel).Predict(predict_request(), timeout=30).model_spec.version.value == 1


def test_health_service(flagged: Engine) -> None:
    health: Any = health_pb2_grpc.HealthStub(flagged.channel)
    for service in ("", "ModelService", "PredictionService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status == 1
    assert failure(health.Check, health_pb2.HealthCheckRequest(service="x"), timeout=30)[0] == "NOT_FOUND"


def test_reflection(plain: Engine) -> None:
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(plain.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection.ServerReflectionInfo(iter([asked]), timeout=30)
    names = {service.name for service in answer.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= names


def test_reflection_describes_every_method(plain: Engine) -> None:
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(plain.channel)
    found: dict[str, tuple[str, str]] = {}
    for service in ("PredictionService", "ModelService"):
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"tensorflow.serving.{service}")
        (answer,) = reflection.ServerReflectionInfo(iter([asked]), timeout=30)
        files = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
        for method in (method for file in files for entry in file.service for method in entry.method):
            found[method.name] = (method.input_type.rpartition(".")[2], method.output_type.rpartition(".")[2])
    assert found == {
        "Predict": ("PredictRequest", "PredictResponse"),
        "Classify": ("ClassificationRequest", "ClassificationResponse"),
        "Regress": ("RegressionRequest", "RegressionResponse"),
        "MultiInference": ("MultiInferenceRequest", "MultiInferenceResponse"),
        "GetModelMetadata": ("GetModelMetadataRequest", "GetModelMetadataResponse"),
        "GetModelStatus": ("GetModelStatusRequest", "GetModelStatusResponse"),
        "HandleReloadConfigRequest": ("ReloadConfigRequest", "ReloadConfigResponse"),
    }


def test_head_is_answered_as_get_without_the_body(plain: Engine) -> None:
    with requests.Session() as session:  # One connection: a body would be read as the next answer.
        for path in ("", "/metadata"):
            url = f"http://127.0.0.1:{plain.rest_port}/v1/models/default{path}"
            head, answer = session.head(url, timeout=30), session.get(url, timeout=30)
            assert (head.status_code, head.content, answer.status_code) == (200, b"", 200)
            assert head.headers["Content-Length"] == str(len(answer.content))


def test_no_health_service_without_the_flag(plain: Engine) -> None:
    health: Any = health_pb2_grpc.HealthStub(plain.channel)
    assert failure(health.Check, health_pb2.HealthCheckRequest(), timeout=30)[0] == "UNIMPLEMENTED"


def test_tls(start_engine: StartEngine, model: str, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    config = tmp_path / "ssl.config"
    config.write_text(f"server_key: {json.dumps(key.read_text())} server_cert: {json.dumps(certificate.read_text())}")
    unix = tmp_path / "socket"
    engine = start_engine(model, f"--ssl_config_file={config}", f"--grpc_socket_path={unix}")
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    override = [("grpc.ssl_target_name_override", "localhost")]
    for target in (f"127.0.0.1:{engine.grpc_port}", f"unix:{unix}"):
        with grpc.secure_channel(target, credentials, override) as channel:
            assert list(stub(channel).Predict(predict_request(), timeout=30).outputs["y"].float_val) == [1.5, 2.0]
    assert failure(stub(engine.channel).Predict, predict_request(), timeout=5)[0] == "UNAVAILABLE"


def series(engine: Engine) -> dict[str, float]:
    """The metrics page: series to value."""
    page = requests.get(f"http://127.0.0.1:{engine.rest_port}/metrics", timeout=30)
    assert page.headers["Content-Type"] == "text/plain"
    lines = [line for line in page.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics(flagged: Engine) -> None:
    before = series(flagged)
    flagged.predict("default")
    stub(flagged.channel).Predict(predict_request(), timeout=30)
    requests.get(flagged.url("unheard-of"), timeout=30)
    requests.get(f"http://127.0.0.1:{flagged.rest_port}/v1/foo", timeout=30)
    after = series(flagged)
    prefix = ":tensorflow:serving:"
    grown = {
        f'{prefix}request_count{{model_name="default",status="OK"}}': 2,
        f'{prefix}request_count{{model_name="",status="NOT_FOUND"}}': 1,
        f'{prefix}request_count{{model_name="",status="INVALID_ARGUMENT"}}': 1,
        f'{prefix}request_latency_count{{model_name="default",API="predict",entrypoint="REST"}}': 1,
        f'{prefix}request_latency_count{{model_name="default",API="Predict",entrypoint="GRPC"}}': 1,
        f'{prefix}runtime_latency_count{{model_name="default",API="Predict",runtime="TF1"}}': 2,
    }
    assert {name: after[name] - before.get(name, 0) for name in grown} == grown
    assert any("load_attempt_count" in name and 'status="success"' in name for name in after)


def test_names_that_nobody_serves_are_counted_without_them(flagged: Engine) -> None:
    before = series(flagged)
    url = f"http://127.0.0.1:{flagged.rest_port}/v1/models/stranger"
    assert requests.get(url, timeout=30).status_code == 404
    assert requests.post(f"{url}:predict", json={"instances": [1.0]}, timeout=30).status_code == 404
    request = predict_pb2.PredictRequest(model_spec={"name": "stranger"})
    assert failure(stub(flagged.channel).Predict, request, timeout=30)[0] == "NOT_FOUND"
    after = series(flagged)
    assert not any("stranger" in name for name in after)
    unknown = ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}'
    assert after[unknown] == before.get(unknown, 0) + 3


def test_only_the_exact_metrics_path_is_answered(flagged: Engine) -> None:
    other = requests.get(f"http://127.0.0.1:{flagged.rest_port}/metrics?x", timeout=30)
    assert (other.status_code, other.text) == (400, "Unexpected path: /metrics?x. Should be /metrics")


def test_method_names_are_checked_if_asked_for(flagged: Engine) -> None:
    engine = flagged
    assert engine.predict("default", value=2.0) == 2.0
    body = json.dumps({"examples": [{"x": 1.0}]})
    answer = requests.post(engine.url("default:classify"), data=body, timeout=30)
    assert answer.json()["error"] == (
        "Expected classification signature method_name to be tensorflow/serving/classify. Was:"
        " tensorflow/serving/predict"
    )


def test_strings_that_are_not_text_are_passed_through(plain: Engine) -> None:
    body = b'{"signature_name": "echo", "inputs": ["\xff", {"b64": "AAE="}]}'
    answer = requests.post(plain.url("default:predict"), data=body, timeout=30)
    assert answer.content == b'{\n    "outputs": [\n        "\xff",\n        "\\u0000\\u0001"\n    ]\n}'


def test_an_image_of_too_many_pixels_is_refused(plain: Engine) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "default"
    request.model_spec.signature_name = "echo"
    request.inputs["text"].dtype = 7
    request.inputs["text"].tensor_shape.dim.add(size=1)
    request.inputs["text"].string_val.append(png)
    code, details = failure(stub(plain.channel).Predict, request, timeout=30)
    assert code == "RESOURCE_EXHAUSTED"
    assert "an image of 900000000 pixels" in details


def test_the_state_of_a_model_lasts_from_request_to_request(plain: Engine) -> None:
    def count() -> int:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "default"
        request.model_spec.signature_name = "count"
        return int(stub(plain.channel).Predict(request, timeout=30).outputs["total"].int_val[0])

    first = count()
    assert [count(), count()] == [first + 1, first + 2]


def test_a_large_request_and_its_large_answer(plain: Engine) -> None:
    values = [float(number) for number in range(100_000)]
    for signature, sent, expected in (
        ("serving_default", values, [0.5 * value + 1.0 for value in values]),
        ("echo", ["text " * 10_000, "", "ü" * 200_000], ["text " * 10_000, "", "ü" * 200_000]),
    ):
        data = json.dumps({"signature_name": signature, "instances": sent}).encode()
        for body, headers in ((data, {}), (gzip.compress(data), {"Content-Encoding": "gzip"})):
            answer = requests.post(plain.url("default:predict"), data=body, headers=headers, timeout=60)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"predictions": expected}


def test_what_is_wrong_with_a_large_request_is_said_as_of_a_small_one(plain: Engine) -> None:
    for name, body in (
        ("default", '{"instances": [1, "%s"]}'),
        ("default", '{"instances": [1], "%s" : }'),
        ("default", '{"signature_name": "no such", "instances": [1], "%s": 1}'),
        ("absent", '{"instances": [1], "%s" : }'),
        ("absent", '{"instances": [1], "%s": 1}'),
    ):
        answers = [
            requests.post(plain.url(f"{name}:predict"), data=body % ("x" * length), timeout=60)
            for length in (1, 300_000)
        ]
        small, large = [(answer.status_code, re.sub("offset: .*", "", answer.json()["error"])) for answer in answers]
        assert (large[0], large[1].replace("x" * 255, "x")[:60]) == (small[0], small[1][:60]), body


def test_a_large_request_is_worked_on_no_longer_than_its_time(flagged: Engine) -> None:
    body = b'{"instances":[' + b'{"b64":1},' * 8_000_000 + b"[]]}"
    answer = requests.post(flagged.url("default:predict"), data=body, timeout=60)
    assert (answer.status_code, answer.json()) == (504, {"error": "Timed out waiting for notification"})
    flagged.until(lambda: not working(flagged.process.pid))
    assert flagged.predict("default", value=2.0) == 2.0


def working(server: int) -> list[int]:
    """The processes that read a request or write an answer."""

    def children(process: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]

    return [each for child in children(server) for each in children(child)]
