"""Both of our generators and wrk, against servers whose behaviour is known."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from bench import generators
from bench.generators import Load, Measured
from bundle.errors import BundleError
from tests.waiting import until

BODY = b'{"instances": [1]}'
DELAY_S = 0.01


class Handler(BaseHTTPRequestHandler):
    """Answers after DELAY_S; what the server's `refuse` says decides with which status."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        server: Any = self.server
        assert self.rfile.read(int(self.headers["Content-Length"])) == BODY
        with server.counting:
            server.asked.append(time.monotonic())
            number = len(server.asked)
        if server.hang_up(number):
            self.close_connection = True
            return
        time.sleep(DELAY_S)
        self.send_response(400 if server.refuse(number) else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes it well that clients leave without their answer, as wrk does."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def http_server(refuse: Any = lambda _: False, hang_up: Any = lambda _: False) -> Iterator[Any]:
    server: Any = Server(("127.0.0.1", 0), Handler)
    server.asked, server.refuse, server.hang_up = [], refuse, hang_up
    server.counting = threading.Lock()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request"
    path.write_bytes(BODY)
    return path


def rest(server: Any, request_file: Path, clients: int) -> Load:
    return Load("127.0.0.1", server.server_address[1], "/", request_file, clients, True)


RUNS = [
    generators.run_own,
    pytest.param(generators.run_wrk, marks=pytest.mark.skipif(not generators.has_wrk(), reason="wrk is not installed")),
]


def assert_is_rate_of(asked: list[float], measured: Measured, clients: int) -> None:
    """The rate is what the server saw in the same stretch of time, and no more than its delay lets it answer."""
    counted = [moment for moment in asked if moment >= asked[0] + generators._LEAD_S]
    rate = (len(counted) - 1) / (counted[-1] - counted[0])
    assert measured.rate == pytest.approx(rate, rel=0.3)
    # A stretch of so many answers of each client can begin just after an answer and end with one.
    most_turns = measured.answers / clients
    assert measured.rate <= clients / DELAY_S * most_turns / (most_turns - 2)


@pytest.mark.parametrize("run", RUNS)
def test_rate_and_latency_are_those_of_the_server(run: Any, request_file: Path) -> None:
    began = time.monotonic()
    with http_server() as server:
        measured = run(rest(server, request_file, 4), 1.0)
    assert_is_rate_of(server.asked, measured, 4)
    assert DELAY_S * 1e3 <= measured.p50_ms <= measured.p99_ms
    assert measured.failed == 0
    assert 0 < measured.generator_cpu_s < time.monotonic() - began


@pytest.mark.parametrize("run", RUNS)
def test_refusals_are_counted_as_failures(run: Any, request_file: Path) -> None:
    with http_server(refuse=lambda number: number % 5 == 0) as server:
        measured = run(rest(server, request_file, 2), 1.0)
    asked = len(server.asked)
    left_out = asked - measured.failed - measured.answers
    assert 0 <= left_out <= 2  # One of each client at most: wrk leaves without its last answers.
    assert asked // 5 - left_out <= measured.failed <= asked // 5


def test_a_connection_that_breaks_is_a_failure_and_the_load_goes_on(request_file: Path) -> None:
    with http_server(hang_up=lambda number: number == 3) as server:
        measured = generators.run_own(rest(server, request_file, 2), 0.5)
    assert measured.failed == 1
    assert measured.answers == len(server.asked) - 1 > 3


def test_everybody_gets_some_turns_however_short_the_slice_is(request_file: Path) -> None:
    with http_server() as server:
        measured = generators.run_own(rest(server, request_file, 32), 0.01)
    assert measured.answers >= 3 * 32


def test_a_server_that_never_answers_well_is_told(request_file: Path) -> None:
    with http_server(refuse=lambda _: True) as server, pytest.raises(BundleError, match=r"none of \d+ requests"):
        generators.warm_up(rest(server, request_file, 1), deadline_s=1.0)


def test_a_load_in_the_background_ends_when_it_is_told(request_file: Path) -> None:
    with http_server() as server, generators.own(rest(server, request_file, 2), 60.0) as running:
        until(lambda: len(server.asked) >= 20, "for the load")
        running.stop()
        requests, cpu_s = running.result()
    assert requests.failed == 0
    assert len(requests.ended) == len(server.asked)
    assert cpu_s > 0


def _grpc_server(behaviour: Any) -> tuple[grpc.Server, int]:
    handler = grpc.method_handlers_generic_handler(
        "test.Service", {"Echo": grpc.unary_unary_rpc_method_handler(behaviour)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def test_grpc_requests_are_sent_as_they_are(request_file: Path) -> None:
    received = set()
    asked: list[float] = []

    def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
        received.add(request)
        asked.append(time.monotonic())
        if len(received) > 1:
            context.abort(grpc.StatusCode.INTERNAL, "another request")
        time.sleep(DELAY_S)
        return request

    server, port = _grpc_server(echo)
    try:
        measured = generators.run_own(Load("127.0.0.1", port, "/test.Service/Echo", request_file, 4, False), 0.5)
    finally:
        server.stop(None).wait()
    assert received == {BODY}
    assert_is_rate_of(asked, measured, 4)
    assert measured.failed == 0


def test_a_grpc_method_that_is_not_there_ends_the_run(request_file: Path) -> None:
    server, port = _grpc_server(lambda request, _: request)
    try:
        with pytest.raises(BundleError, match="UNIMPLEMENTED"):
            generators.run_own(Load("127.0.0.1", port, "/test.Service/Other", request_file, 1, False), 0.5)
    finally:
        server.stop(None).wait()
