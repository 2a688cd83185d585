"""The HTTP side of the REST server: framing, order, limits. The app behind it only echoes."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serving.errors import ServingError
from serving.flags import Options
from serving.http import RestServer, listen
from serving.message import Response
from tests.waiting import DEADLINE_S, until


class EchoApp:
    """Answers with what it was asked; `/wait` holds the worker until `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.waiting = threading.Event()

    def answer(self, method: str, target: str, origin: str | None, body: bytes) -> Response:
        if target == "/wait":
            self.waiting.set()
            self.release.wait(DEADLINE_S)
        if target == "/big":
            return Response(200, b"x" * (32 << 20))
        return Response(200, f"{method} {target} ".encode() + body)

    def refuse(self, error: ServingError) -> Response:
        return Response(429, error.message.encode())

    def begin(self, method: str, target: str, body: bytes, threads: Any, deliver: Callable[[Response], None]) -> bool:
        """Answers `/soon` from the event loop, everything else in a worker."""
        if target != "/soon":
            return False
        threads.call(deliver, self.answer(method, target, None, body))
        return True


class Fixture:
    """A server with its app."""

    def __init__(self, **options: Any) -> None:
        self.app = EchoApp()
        settings = Options(rest_api_num_threads=4, **options)
        self.server = RestServer(self.app, listen("127.0.0.1", 0), settings)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE_S)

    def exchange(self, data: bytes) -> bytes:
        """Everything that the server sends until it closes, for one or more requests."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while data := client.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


@pytest.fixture
def start() -> Iterator[Callable[..., Fixture]]:
    started: list[Fixture] = []

    def begin(**options: Any) -> Fixture:
        started.append(Fixture(**options))
        return started[-1]

    yield begin
    for fixture in started:
        fixture.app.release.set()
        fixture.server.close(0.0)


@pytest.fixture
def http(start: Callable[..., Fixture]) -> Fixture:
    return start()


def status_of(reply: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/\d\.\d (\d{3})", reply)]


def test_headers_and_their_order(http: Fixture) -> None:
    reply = http.exchange(b"POST /a%20b?c#d HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz")
    assert re.fullmatch(
        rb"HTTP/1\.1 200 OK\r\nContent-Type: application/json\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n"
        rb"Content-Length: 19\r\n(Connection: close\r\n)?\r\nPOST /a%20b\?c#d xyz",
        reply,
    )


def test_pipelined_requests_are_answered_in_order(http: Fixture) -> None:
    asked = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(50))
    assert re.findall(rb"GET /(\d+) ", http.exchange(asked)) == [b"%d" % number for number in range(50)]


def test_requests_answered_in_the_event_loop_keep_their_order_and_do_not_pile_up(http: Fixture) -> None:
    asked = b"".join(b"GET %s HTTP/1.1\r\n\r\n" % (b"/%d" % n if n % 7 == 0 else b"/soon") for n in range(5000))
    answered = re.findall(rb"GET (/\w+) ", http.exchange(asked))
    assert answered == [b"/%d" % n if n % 7 == 0 else b"/soon" for n in range(5000)]


def test_a_connection_is_kept(http: Fixture) -> None:
    with http.connect() as client:
        for _ in range(3):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert status_of(client.recv(1000)) == [200]


def test_connection_close(http: Fixture) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        reply = read_all(client)
    assert b"\r\nConnection: close\r\n\r\n" in reply


def test_http_1_0_closes_and_has_neither_date_nor_length(http: Fixture) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(client) == b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\nGET / "


def test_http_1_0_can_keep_the_connection(http: Fixture) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\nContent-Length: 6\r\n\r\n" in client.recv(1000)


def test_head_leaves_the_body_out_and_the_connection_in_step(http: Fixture) -> None:
    head, _, rest = http.exchange(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nContent-Length: %d" % len(b"HEAD / "))
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\nGET / ")


def test_chunked_bodies(http: Fixture) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert http.exchange(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b"POST / abcde")


def test_expect_continue(http: Fixture) -> None:
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert client.recv(1000).endswith(b"POST / ok")


def test_a_body_that_comes_byte_by_byte(http: Fixture) -> None:
    with http.connect() as client:
        for byte in b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc":
            client.sendall(bytes([byte]))
        assert client.recv(1000).endswith(b"POST /x abc")


def test_an_upgrade_is_not_taken(http: Fixture) -> None:
    head = b"GET /1 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert re.findall(rb"GET /(\d)", http.exchange(head + b"GET /2 HTTP/1.1\r\n\r\n")) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTX/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", 400),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501),
        (b"get / HTTP/1.1\r\n\r\n", 501),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"TRACE / HTTP/1.1\r\n\r\n", 501),
        (b"PROPFIND / HTTP/1.1\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 413),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * (2 << 20), 431),
    ],
)
def test_what_is_malformed_is_refused_and_the_connection_closed(http: Fixture, sent: bytes, status: int) -> None:
    with http.connect() as client:
        client.sendall(sent)
        reply = read_all(client)
    assert status_of(reply) == [status]
    assert b"Content-Type: text/html\r\n" in reply
    assert b"\r\nConnection: close\r\n" in reply


def test_requests_before_a_malformed_one_are_answered(http: Fixture) -> None:
    assert status_of(http.exchange(b"GET / HTTP/1.1\r\n\r\nget / HTTP/1.1\r\n\r\n")) == [200, 501]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br, gzip"])
def test_gzip(http: Fixture, encoding: str) -> None:
    body = gzip.compress(b"hello", mtime=0)
    head = f"POST / HTTP/1.1\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert http.exchange(head.encode() + body).endswith(b"POST / hello")


@pytest.mark.parametrize(
    "body",
    [
        b"junk",
        gzip.compress(b"hello", mtime=0)[:-1],
        gzip.compress(b"a", mtime=0) + b"b",
        gzip.compress(bytes((100 << 20) + 1), mtime=0),
    ],
)
def test_what_gzip_cannot_read_is_an_empty_body(http: Fixture, body: bytes) -> None:
    head = f"POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    assert http.exchange(head.encode() + body).endswith(b"POST / ")


def test_other_encodings_are_ignored(http: Fixture) -> None:
    assert http.exchange(b"POST / HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx").endswith(b"POST / x")


def test_a_body_over_the_limit_is_refused_before_it_comes(start: Callable[..., Fixture]) -> None:
    http = start(max_request_body_bytes=1000)
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
        reply = read_all(client)
    assert status_of(reply) == [413]
    assert b'"error": "The request body is larger than 1000 bytes, the limit set by --max_request_body_bytes"' in reply
    assert status_of(http.exchange(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))) == [200]


def test_a_body_of_unknown_length_is_refused_when_it_is_over_the_limit(start: Callable[..., Fixture]) -> None:
    http = start(max_request_body_bytes=1000)
    chunk = b"1f4\r\n" + bytes(500) + b"\r\n"
    reply = http.exchange(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert status_of(reply) == [413]


def test_all_bodies_together_are_limited(start: Callable[..., Fixture]) -> None:
    http = start(max_request_body_bytes=100_000)
    held = [http.connect() for _ in range(6)]
    try:
        replies = b""
        for client in held:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(99_000))
            client.settimeout(0.3)
        for client in held:
            try:
                replies += client.recv(1000)
            except TimeoutError:
                continue
        assert set(status_of(replies)) == {503}
    finally:
        for client in held:
            client.close()
    until(lambda: http.server.buffered_bytes == 0)
    assert status_of(http.exchange(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")) == [200]


def test_predictions_over_the_limit_are_refused_and_all_else_goes_on(start: Callable[..., Fixture]) -> None:
    http = start(max_queued_requests=6, dynamic_batching=False)  # four threads
    waiting = [http.connect() for _ in range(6)]
    try:
        for client in waiting:
            client.sendall(b"POST /wait HTTP/1.1\r\n\r\n")
        until(lambda: http.server.queued == 6)
        with http.connect() as client:
            for _ in range(2):
                client.sendall(b"POST /soon HTTP/1.1\r\n\r\n")
                reply = client.recv(1000)
                assert status_of(reply) == [429]
                assert b"\r\n\r\n6 predictions are queued already, the limit set by --max_queued_requests" in reply
            client.sendall(b"GET /status HTTP/1.1\r\n\r\n")
            assert client.recv(1000).endswith(b"GET /status ")
        http.app.release.set()
        assert [status_of(client.recv(1000)) for client in waiting] == [[200]] * 6
    finally:
        for client in waiting:
            client.close()
    assert http.server.queued == 0
    assert status_of(http.exchange(b"POST /soon HTTP/1.1\r\n\r\n")) == [200]


def test_clients_that_go_away_leave_nothing_in_the_queue(start: Callable[..., Fixture]) -> None:
    http = start(max_queued_requests=2)
    for _ in range(2):
        with http.connect() as client:
            client.sendall(b"POST /wait HTTP/1.1\r\n\r\n")
            until(http.app.waiting.is_set)
            http.app.waiting.clear()
    http.app.release.set()
    until(lambda: http.server.queued == 0)


@pytest.mark.parametrize("sent", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_client_that_stops_sending_is_timed_out(start: Callable[..., Fixture], sent: bytes) -> None:
    http = start(http_read_timeout_seconds=1)
    started = time.monotonic()
    with http.connect() as client:
        client.sendall(sent)
        reply = read_all(client)
    assert status_of(reply) == [408]
    assert time.monotonic() - started >= 1


def test_a_client_that_drips_is_timed_out(start: Callable[..., Fixture]) -> None:
    http = start(http_read_timeout_seconds=1)
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.1)
        for _ in range(600):
            try:
                client.sendall(b"A: b\r\n")
                if client.recv(1000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the connection was still open after a minute")


def test_a_client_that_does_not_read_is_cut_off(start: Callable[..., Fixture]) -> None:
    http = start(http_read_timeout_seconds=1)
    with http.connect() as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        until(lambda: bool(http.server.connections))
        until(lambda: not http.server.connections)


def test_slow_requests_do_not_hold_up_others(http: Fixture) -> None:
    with http.connect() as slow:
        slow.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        assert http.app.waiting.wait(DEADLINE_S)
        assert status_of(http.exchange(b"GET / HTTP/1.1\r\n\r\n")) == [200]


def test_stopping_finishes_requests_and_closes_connections(http: Fixture) -> None:
    with http.connect() as busy, http.connect() as idle:
        busy.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        assert http.app.waiting.wait(DEADLINE_S)
        http.server.stop_accepting()
        assert read_all(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            http.connect()
        http.app.release.set()
        reply = read_all(busy)
    assert reply.endswith(b"GET /wait ")
    assert b"Connection: close" in reply


@pytest.mark.parametrize("before", [b"", b"/", b"/v1/models/", b"a" * 10 + b":"])
def test_a_long_target_takes_no_time(http: Fixture, before: bytes) -> None:
    """Its scheme was once looked for at every place, which took a minute for this one."""
    began = time.monotonic()
    reply = http.exchange(b"GET " + before + b"a" * 900_000 + b" HTTP/1.1\r\n\r\n")
    assert time.monotonic() - began < 5
    assert reply.startswith((b"HTTP/1.1 414 Request-URI Too Large\r\n", b"HTTP/1.1 400 "))


def test_the_longest_target_that_is_taken(http: Fixture) -> None:
    target = b"/" + b"a" * (64 * 1024 - 1)
    assert http.exchange(b"GET " + target + b" HTTP/1.1\r\n\r\n").endswith(b"GET " + target + b" ")
    assert http.exchange(b"GET " + target + b"a HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")


def test_only_the_start_of_a_target_can_name_a_host(http: Fixture) -> None:
    reply = http.exchange(b"GET /a?from=http://elsewhere/b HTTP/1.1\r\n\r\n")
    assert reply.endswith(b"GET /a?from=http://elsewhere/b ")
    assert http.exchange(b"GET http://here/b HTTP/1.1\r\n\r\n").endswith(b"GET /b ")


OFFERS = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("cut", [None, 1, 7])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read_once(http: Fixture, offer: bytes, cut: int | None) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\n\r\n"
    plain = b"POST /a HTTP/1.1\r\n" + offer + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden
    chunked = b"POST /b HTTP/1.1\r\n" + offer + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    nothing = b"POST /c HTTP/1.1\r\n" + offer + b"Content-Length: 0\r\n\r\n"
    sent = plain + chunked + nothing + b"GET /d HTTP/1.1\r\n" + offer + b"\r\nGET /e HTTP/1.1\r\n\r\n"
    with http.connect() as client:
        for at in range(0, len(sent), cut or len(sent)):
            client.sendall(sent[at : at + (cut or len(sent))])
        client.shutdown(socket.SHUT_WR)
        reply = read_all(client)
    bodies = re.findall(rb"\r\n\r\n(.*?)(?=HTTP/1.1 |\Z)", reply, re.DOTALL)
    assert bodies == [b"POST /a " + hidden, b"POST /b abc", b"POST /c ", b"GET /d ", b"GET /e "]
