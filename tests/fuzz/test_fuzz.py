"""Whatever is sent, the server answers as it should, and goes on.

Sends 1,500 requests over REST and as many over gRPC, and goes on for FUZZ_SECONDS.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Callable
from typing import Any

import grpc
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.engine import Engine
from tests.fuzz import strategies

ROUNDS = 5
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
# Below this it is the first use of every signature that makes a server grow.
MEASURED_SECONDS = 120.0
# 501: a type that JSON cannot carry. 503 and 504: overload and time-outs. The real server gives them too.
ALLOWED = {501, 503, 504}
GRPC_FORBIDDEN = {"UNKNOWN", "UNAVAILABLE", "DATA_LOSS"}
TELLTALES = (b"Traceback", b"Internal error", b'File "')

Round = Callable[[], None]


def fuzz_rest(connection: http.client.HTTPConnection) -> Round:
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategies.METHODS, strategies.PATHS, strategies.BODIES, st.booleans(), st.integers(0, 20))
    def one(method: str, path: str, body: bytes, compressed: bool, cut: int) -> None:
        data, headers = strategies.with_encoding(body, compressed and cut < 10, cut if cut < 4 else 0)
        try:
            connection.request(method, path, data, headers)
            reply = connection.getresponse()
            answer = reply.read()
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            raise
        assert reply.status < 500 or reply.status in ALLOWED, answer
        assert not any(telltale in answer for telltale in TELLTALES), answer

    return one


def fuzz_grpc(target: Engine) -> Round:
    def unary(method: str) -> Any:
        return target.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")

    calls = {method: unary(method) for method in ("Predict", "Classify", "Regress", "MultiInference")}
    requests = st.one_of(
        st.tuples(st.just("Predict"), strategies.predict_requests()),
        st.tuples(st.sampled_from(sorted(calls)), strategies.classify_requests()),
    )

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests)
    def one(request: tuple[str, bytes]) -> None:
        method, data = request
        try:
            calls[method](data, timeout=60)
        except grpc.RpcError as failure:
            error: Any = failure
            assert error.code().name not in GRPC_FORBIDDEN, error
            assert "Internal error" not in error.details(), error

    return one


@pytest.mark.timeout(SECONDS * 2 + 300)
def test_nothing_that_is_sent_does_harm(target: Engine) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.rest_port, timeout=60)
    with contextlib.closing(connection):
        fuzz(target, [fuzz_rest(connection), fuzz_grpc(target)])


def fuzz(target: Engine, rounds: list[Round]) -> None:
    """Go round some times, and on until the time is over; then look at the server."""
    process = psutil.Process(target.process.pid)
    end = time.monotonic() + SECONDS
    sizes: list[int] = []
    while len(sizes) < ROUNDS or time.monotonic() < end:
        for one in rounds:
            one()
        sizes.append(process.memory_info().rss)
    assert target.process.poll() is None, target.log
    assert target.predict("kitchen", value=2.0) == 3.0
    assert "Traceback" not in target.log, target.log
    if SECONDS >= MEASURED_SECONDS:
        settled = sizes[len(sizes) // 5]
        assert sizes[-1] < 1.1 * settled, f"grew, in MB: {[size >> 20 for size in sizes]}"
