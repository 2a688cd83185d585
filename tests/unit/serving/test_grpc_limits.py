"""The gRPC server with more predictions than it takes, over a real socket; the methods behind it only wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, predict_pb2

from serving.flags import Options
from serving.grpc_pool import MOST_SILENT
from serving.grpc_service import GrpcServer
from tests.waiting import DEADLINE_S, until

PREDICT = "/tensorflow.serving.PredictionService/Predict"
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


class WaitingApi:
    """Holds predictions until `release` is set; everything else is answered at once."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.running = threading.Semaphore(0)

    def known(self, model: str) -> str:
        return model

    def predict(self, _request: Any, _timeout_s: float | None) -> Any:
        self.running.release()
        self.release.wait(DEADLINE_S)
        return predict_pb2.PredictResponse()

    def classify(self, _request: Any, _timeout_s: float | None) -> Any:
        return classification_pb2.ClassificationResponse()

    def get_model_status(self, _request: Any, _timeout_s: float | None) -> Any:
        return get_model_status_pb2.GetModelStatusResponse()

    regress = multi_inference = get_model_metadata = handle_reload_config_request = get_model_status

    def admit(self, method: str, peer: str) -> None:
        """Everybody may call everything."""


class Fixture:
    def __init__(self, folder: Path, **more: Any) -> None:
        self.api = WaitingApi()
        socket = folder / "grpc"
        settings: dict[str, Any] = {"grpc_max_threads": 2, "dynamic_batching": False, "max_queued_requests": 5}
        options = Options(port=0, grpc_socket_path=str(socket), **{**settings, **more})
        self.server = GrpcServer(self.api, options)  # type: ignore[arg-type]
        self.channel = grpc.insecure_channel(f"unix:{socket}")

    def start(self, method: str) -> Any:
        call: Any = self.channel.unary_unary(method)
        return call.future(b"", timeout=DEADLINE_S)

    def end(self) -> None:
        self.api.release.set()
        self.channel.close()
        self.server.close(0.0)

    def fill(self) -> list[Any]:
        """Five predictions: two that run, three that wait for a thread."""
        calls = [self.start(PREDICT) for _ in range(5)]
        for _ in range(2):
            assert self.api.running.acquire(timeout=DEADLINE_S)
        until(lambda: self.server.queued == 5)
        return calls


@pytest.fixture
def saturated(tmp_path: Path) -> Iterator[Fixture]:
    fixture = Fixture(tmp_path)
    yield fixture
    fixture.end()


def test_predictions_over_the_limit_are_refused_and_the_others_answered(saturated: Fixture) -> None:
    calls = saturated.fill()
    for method in (PREDICT, CLASSIFY):
        refused = saturated.start(method)
        assert refused.exception(DEADLINE_S).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.exception().details() == (
            "5 predictions are queued already, the limit set by --max_queued_requests; try again later"
        )
    assert not any(call.done() for call in calls)
    saturated.api.release.set()
    assert [call.result(DEADLINE_S) for call in calls] == [b""] * 5
    assert saturated.start(PREDICT).result(DEADLINE_S) == b""


def test_status_is_answered_when_no_thread_is_free(saturated: Fixture) -> None:
    calls = saturated.fill()
    assert saturated.start(STATUS).result(DEADLINE_S) == b""
    assert saturated.start("/nobody/Knows").exception(DEADLINE_S).code() == grpc.StatusCode.UNIMPLEMENTED
    assert not any(call.done() for call in calls)


def test_calls_that_their_clients_gave_up_are_not_counted_for_ever(saturated: Fixture) -> None:
    for call in saturated.fill():
        call.cancel()
    saturated.api.release.set()
    until(lambda: saturated.server.queued == 0)
    assert saturated.start(PREDICT).result(DEADLINE_S) == b""


@pytest.mark.parametrize("method", [PREDICT, STATUS])
def test_a_message_that_is_too_large_is_refused_and_takes_no_place(tmp_path: Path, method: str) -> None:
    fixture = Fixture(tmp_path, max_request_body_bytes=1000)
    fixture.api.release.set()
    try:
        for _ in range(5):
            call: Any = fixture.channel.unary_unary(method)
            refused = call.future(b"x" * 1001, timeout=DEADLINE_S).exception(DEADLINE_S)
            assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max (1001 vs. 1000)" in refused.details()
        until(lambda: fixture.server.queued == 0)
        assert fixture.start(method).result(DEADLINE_S) == b""
    finally:
        fixture.end()


REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def silent(fixture: Fixture, method: str, over: threading.Event) -> Any:
    def nothing() -> Iterator[bytes]:
        over.wait(DEADLINE_S)
        yield from ()

    call: Any = fixture.channel.stream_unary(method)
    return call.future(nothing(), timeout=DEADLINE_S)


@pytest.mark.parametrize("method", [PREDICT, STATUS, REFLECTION, "/nobody/Knows"])
def test_calls_without_a_message_take_nothing_from_others(tmp_path: Path, method: str) -> None:
    fixture, over = Fixture(tmp_path, max_queued_requests=1000), threading.Event()
    fixture.api.release.set()
    calls = [silent(fixture, method, over) for _ in range(2 * MOST_SILENT)]
    try:
        until(lambda: sum(call.done() for call in calls) >= MOST_SILENT)
        assert fixture.start(PREDICT).result(DEADLINE_S) == b""
        assert fixture.start(STATUS).result(DEADLINE_S) == b""
        expected = grpc.StatusCode.UNIMPLEMENTED if method == "/nobody/Knows" else grpc.StatusCode.CANCELLED
        assert {call.exception().code() for call in calls if call.done()} == {expected}
    finally:
        over.set()
        fixture.end()


def test_a_call_without_a_message_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    fixture, over = Fixture(tmp_path, http_read_timeout_seconds=1), threading.Event()
    try:
        call = silent(fixture, PREDICT, over)
        assert call.exception(DEADLINE_S).code() == grpc.StatusCode.CANCELLED
    finally:
        over.set()
        fixture.end()


def test_a_call_that_ends_without_a_message_is_told_so(saturated: Fixture) -> None:
    over = threading.Event()
    over.set()
    error = silent(saturated, PREDICT, over).exception(DEADLINE_S)
    assert (error.code(), error.details()) == (
        grpc.StatusCode.UNIMPLEMENTED,
        f"{PREDICT} takes exactly one message, and none came",
    )
