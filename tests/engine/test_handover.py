"""A server that follows another one on the same ports: every request is answered, by the one or by the other."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import requests
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits

PAUSE_S = 0.005


@dataclasses.dataclass
class Traffic:
    """What clients have got so far."""

    answers: list[float] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


def _rest(engine: Engine, get: Callable[..., requests.Response]) -> float:
    answer = get(engine.url("m:predict"), data='{"instances": [0.0]}', timeout=30)
    answer.raise_for_status()
    return float(answer.json()["predictions"][0])


def _rpc(channel: grpc.Channel) -> float:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(0.0)
    reply = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    return float(next(iter(reply.outputs.values())).float_val[0])


def _kinds_of_clients(engine: Engine) -> Iterator[Callable[[], float]]:
    """Those that keep their connection, and those that make one for each request; over REST and gRPC."""
    kept, address = requests.Session(), f"127.0.0.1:{engine.grpc_port}"
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])

    def once() -> float:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as fresh:
            return _rpc(fresh)

    yield lambda: _rest(engine, kept.post)
    yield lambda: _rest(engine, requests.post)
    yield lambda: _rpc(channel)
    yield once


@contextmanager
def traffic(engine: Engine) -> Iterator[Traffic]:
    """Clients of every kind that ask all the time."""
    found, over = Traffic(), threading.Event()

    def ask(client: Callable[[], float]) -> None:
        while not over.wait(PAUSE_S):
            try:
                found.answers.append(client())
            except (requests.RequestException, grpc.RpcError) as error:
                found.failures.append(str(error))

    threads = [threading.Thread(target=ask, args=(client,)) for client in _kinds_of_clients(engine)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def flags_of(base: Path) -> tuple[str, ...]:
    return "--model_name=m", f"--model_base_path={base}", "--reuse_port=true"


def _follow(start_engine: StartEngine, first: Engine, base: Path) -> Engine:
    ports = f"--port={first.grpc_port}", f"--rest_api_port={first.rest_port}"
    second = start_engine(*flags_of(base), *ports, wait=False)
    second.until(lambda: "Exporting HTTP/REST API" in second.log)
    return second


def test_no_request_is_lost_when_a_server_follows_another_one(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    kits.publish(tmp_path / "one" / "m", "1", 1)
    kits.publish(tmp_path / "two" / "m", "1", 2)
    first = start_engine(*flags_of(tmp_path / "one" / "m"))
    with traffic(first) as found:
        first.until(lambda: found.answers.count(1.0) > 100)
        second = _follow(start_engine, first, tmp_path / "two" / "m")
        first.signal(signal.SIGQUIT)
        assert first.exit_status() == 0
        ended = len(found.answers)
        second.until(lambda: len(found.answers) > ended + 100)
    assert found.failures == []
    assert set(found.answers) == {1.0, 2.0}
    assert set(found.answers[ended + 4 :]) == {2.0}
    assert "no request was cut off" in first.log


def test_every_new_connection_goes_to_the_server_that_follows(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    kits.publish(tmp_path / "one" / "m", "1", 1)
    kits.publish(tmp_path / "two" / "m", "1", 2)
    first = start_engine(*flags_of(tmp_path / "one" / "m"))
    second = _follow(start_engine, first, tmp_path / "two" / "m")
    assert second.process.poll() is None
    clients = list(_kinds_of_clients(first))
    assert {client() for client in clients for _ in range(30)} == {2.0}


def test_the_first_one_answers_again_when_the_one_that_follows_dies(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    kits.publish(tmp_path / "m", "1", 1)
    first = start_engine(*flags_of(tmp_path / "m"))
    second = _follow(start_engine, first, tmp_path / "m")
    second.signal(signal.SIGKILL)
    second.exit_status()
    assert first.predict("m") == 1.0
    assert first.predict_grpc("m") == 1.0


def test_a_second_signal_ends_the_waiting_for_clients(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    kits.publish(tmp_path / "m", "1", 1)
    engine = start_engine(*flags_of(tmp_path / "m"))
    with requests.Session() as idle:
        _rest(engine, idle.post)
        engine.signal(signal.SIGQUIT)
        engine.until(lambda: "Handing over" in engine.log)
        engine.signal()
        assert engine.exit_status() == 0
    assert "no request was cut off" in engine.log


def test_a_port_is_shared_only_by_those_who_say_so(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    kits.publish(tmp_path / "m", "1", 1)
    first = start_engine("--model_name=m", f"--model_base_path={tmp_path / 'm'}")
    with pytest.raises(AssertionError, match="is already in use"):
        _follow(start_engine, first, tmp_path / "m")
