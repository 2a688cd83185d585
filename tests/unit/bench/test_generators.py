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
from bench.generators import Load
from bundle.errors import BundleError

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
            server.asked += 1
            number = server.asked
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
    server.asked, server.refuse, server.hang_up = 0, refuse, hang_up
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


@pytest.mark.parametrize("run", RUNS)
def test_rate_and_latency_are_those_of_the_server(run: Any, request_file: Path) -> None:
    with http_server() as server:
        measured = run(rest(server, request_file, 4), 1.0)
    # The server cannot be faster than its delay; how much slower depends on the machine.
    assert 0.2 * 4 / DELAY_S < measured.rate <= 1.05 * 4 / DELAY_S
    assert DELAY_S * 1e3 <= measured.p50_ms <= measured.p99_ms
    assert measured.failed == 0
    assert 0 < measured.generator_cpu_s < 1.5


@pytest.mark.parametrize("run", RUNS)
def test_refusals_are_counted_as_failures(run: Any, request_file: Path) -> None:
    with http_server(refuse=lambda number: number % 5 == 0) as server:
        measured = run(rest(server, request_file, 2), 1.0)
        asked = server.asked
    counted = measured.failed + measured.answers
    assert 0.7 * asked <= counted <= asked  # Our own generator leaves the answers of an unfinished cycle out.
    # Every fifth was refused, whether it was counted or not.
    assert max(counted / 10, asked // 5 - (asked - counted)) <= measured.failed <= asked / 5 + 1


def test_a_connection_that_breaks_is_a_failure_and_the_load_goes_on(request_file: Path) -> None:
    with http_server(hang_up=lambda number: number == 5) as server:
        measured = generators.run_own(rest(server, request_file, 2), 0.5)
    assert measured.failed == 1
    assert measured.answers > 20


def test_everybody_gets_some_turns_however_short_the_slice_is(request_file: Path) -> None:
    with http_server() as server:
        measured = generators.run_own(rest(server, request_file, 32), 0.01)
    assert measured.answers >= 3 * 32


def test_a_server_that_never_answers_well_is_told(request_file: Path) -> None:
    with http_server(refuse=lambda _: True) as server, pytest.raises(BundleError, match=r"none of \d+ requests"):
        generators.warm_up(rest(server, request_file, 1), deadline_s=1.0)


def test_a_load_in_the_background_ends_when_it_is_told(request_file: Path) -> None:
    with http_server() as server, generators.own(rest(server, request_file, 2), 60.0) as running:
        while server.asked < 20:
            time.sleep(0.01)
        running.stop()
        requests, cpu_s = running.result()
    assert requests.failed == 0
    assert len(requests.ended) == server.asked
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

    def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
        received.add(request)
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
    assert 0.2 * 4 / DELAY_S < measured.rate <= 1.05 * 4 / DELAY_S
    assert measured.failed == 0


def test_a_grpc_method_that_is_not_there_ends_the_run(request_file: Path) -> None:
    server, port = _grpc_server(lambda request, _: request)
    try:
        with pytest.raises(BundleError, match="UNIMPLEMENTED"):
            generators.run_own(Load("127.0.0.1", port, "/test.Service/Other", request_file, 1, False), 0.5)
    finally:
        server.stop(None).wait()
