"""Requests with the answers that TensorFlow Serving 2.19.1 gave to them."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.conformance.compare import same_text, same_value
from tests.conformance.conftest import Address

TIMEOUT_S = 30
RECORDED = [json.loads(line) for line in Path(__file__).with_name("recorded.jsonl").read_text("utf-8").splitlines()]
REST = [pytest.param(case, id=case["id"]) for case in RECORDED if case["kind"] == "rest"]
GRPC = [pytest.param(case, id=case["id"]) for case in RECORDED if case["kind"] == "grpc"]


@pytest.fixture(scope="session")
def connection(address: Address) -> Iterator[http.client.HTTPConnection]:
    """A connection that is used again and again, and opened anew where the server closes it."""
    opened = http.client.HTTPConnection(address.host, address.rest_port, timeout=TIMEOUT_S)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def calls(address: Address) -> Iterator[dict[str, tuple[Any, Any]]]:
    """The methods of both services with the classes of their requests."""
    with grpc.insecure_channel(f"{address.host}:{address.grpc_port}") as channel:
        prediction: Any = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        model: Any = model_service_pb2_grpc.ModelServiceStub(channel)
        yield {
            "Predict": (prediction.Predict, predict_pb2.PredictRequest),
            "Classify": (prediction.Classify, classification_pb2.ClassificationRequest),
            "Regress": (prediction.Regress, regression_pb2.RegressionRequest),
            "MultiInference": (prediction.MultiInference, inference_pb2.MultiInferenceRequest),
            "GetModelMetadata": (prediction.GetModelMetadata, get_model_metadata_pb2.GetModelMetadataRequest),
            "GetModelStatus": (model.GetModelStatus, get_model_status_pb2.GetModelStatusRequest),
        }


@pytest.mark.parametrize("case", REST)
def test_rest(connection: http.client.HTTPConnection, case: dict[str, Any]) -> None:
    body = case.get("body")
    data = None if body is None else body.encode("utf-8", "surrogatepass")
    connection.request(case["method"], case["path"], data, case.get("headers", {}))
    reply = connection.getresponse()
    got = reply.read()
    assert (reply.status, reply.getheader("Content-Type")) == (case["status"], case["type"]), got
    if "answer_b64" in case:
        assert got == base64.b64decode(case["answer_b64"])
    else:
        assert same_text(case["answer"], got.decode()), f"\nwanted {case['answer']}\ngot    {got.decode()}"


@pytest.mark.parametrize("case", GRPC)
def test_grpc(calls: dict[str, tuple[Any, Any]], case: dict[str, Any]) -> None:
    call, kind = calls[case["method"]]
    request = text_format.Parse(case["request"], kind())
    try:
        reply = call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as failure:
        error: Any = failure
        assert error.code().name == case["code"]
        assert same_value(case["details"], error.details()), error.details()
    else:
        assert case["code"] == "OK"
        got = json_format.MessageToDict(reply, preserving_proto_field_name=True)
        assert same_value(case["answer"], got), got
