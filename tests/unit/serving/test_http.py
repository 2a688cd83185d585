"""The HTTP side of the REST server: framing, order, connections."""

from __future__ import annotations

import gzip
import re
import socket

import pytest

from tests.unit.serving.echo import EchoServer, read_all, status_of
from tests.waiting import DEADLINE_S


def test_headers_and_their_order(http: EchoServer) -> None:
    reply = http.exchange(b"POST /a%20b?c#d HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz")
    assert re.fullmatch(
        rb"HTTP/1\.1 200 OK\r\nContent-Type: application/json\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n"
        rb"Content-Length: 19\r\n(Connection: close\r\n)?\r\nPOST /a%20b\?c#d xyz",
        reply,
    )


def test_pipelined_requests_are_answered_in_order(http: EchoServer) -> None:
    asked = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(50))
    assert re.findall(rb"GET /(\d+) ", http.exchange(asked)) == [b"%d" % number for number in range(50)]


def test_requests_answered_in_the_event_loop_keep_their_order_and_do_not_pile_up(http: EchoServer) -> None:
    asked = b"".join(b"GET %s HTTP/1.1\r\n\r\n" % (b"/%d" % n if n % 7 == 0 else b"/soon") for n in range(5000))
    answered = re.findall(rb"GET (/\w+) ", http.exchange(asked))
    assert answered == [b"/%d" % n if n % 7 == 0 else b"/soon" for n in range(5000)]


def test_a_connection_is_kept(http: EchoServer) -> None:
    with http.connect() as client:
        for _ in range(3):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert status_of(client.recv(1000)) == [200]


def test_connection_close(http: EchoServer) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        reply = read_all(client)
    assert b"\r\nConnection: close\r\n\r\n" in reply


def test_http_1_0_closes_and_has_neither_date_nor_length(http: EchoServer) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(client) == b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\nGET / "


def test_http_1_0_can_keep_the_connection(http: EchoServer) -> None:
    with http.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"Connection: keep-alive\r\nContent-Length: 6\r\n\r\n" in client.recv(1000)


def test_head_leaves_the_body_out_and_the_connection_in_step(http: EchoServer) -> None:
    head, _, rest = http.exchange(b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nContent-Length: %d" % len(b"HEAD / "))
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\nGET / ")


def test_chunked_bodies(http: EchoServer) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert http.exchange(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").endswith(b"POST / abcde")


def test_expect_continue(http: EchoServer) -> None:
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert client.recv(1000).endswith(b"POST / ok")


def test_a_body_that_comes_byte_by_byte(http: EchoServer) -> None:
    with http.connect() as client:
        for byte in b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc":
            client.sendall(bytes([byte]))
        assert client.recv(1000).endswith(b"POST /x abc")


def test_an_upgrade_is_not_taken(http: EchoServer) -> None:
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
def test_what_is_malformed_is_refused_and_the_connection_closed(http: EchoServer, sent: bytes, status: int) -> None:
    with http.connect() as client:
        client.sendall(sent)
        reply = read_all(client)
    assert status_of(reply) == [status]
    assert b"Content-Type: text/html\r\n" in reply
    assert b"\r\nConnection: close\r\n" in reply


def test_requests_before_a_malformed_one_are_answered(http: EchoServer) -> None:
    assert status_of(http.exchange(b"GET / HTTP/1.1\r\n\r\nget / HTTP/1.1\r\n\r\n")) == [200, 501]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br, gzip"])
def test_gzip(http: EchoServer, encoding: str) -> None:
    body = gzip.compress(b"hello", mtime=0)
    head = f"POST / HTTP/1.1\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    assert http.exchange(head.encode() + body).endswith(b"POST / hello")


@pytest.mark.parametrize(
    "body",
    [
        b"junk",
        gzip.compress(b"hello", mtime=0)[:-1],
        gzip.compress(b"a", mtime=0) + b"b",
    ],
)
def test_what_gzip_cannot_read_is_an_empty_body(http: EchoServer, body: bytes) -> None:
    head = f"POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    assert http.exchange(head.encode() + body).endswith(b"POST / ")


def test_other_encodings_are_ignored(http: EchoServer) -> None:
    assert http.exchange(b"POST / HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx").endswith(b"POST / x")


def test_stopping_finishes_requests_and_closes_connections(http: EchoServer) -> None:
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


def test_only_the_start_of_a_target_can_name_a_host(http: EchoServer) -> None:
    reply = http.exchange(b"GET /a?from=http://elsewhere/b HTTP/1.1\r\n\r\n")
    assert reply.endswith(b"GET /a?from=http://elsewhere/b ")
    assert http.exchange(b"GET http://here/b HTTP/1.1\r\n\r\n").endswith(b"GET /b ")


OFFERS = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
)


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("cut", [None, 1, 7])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read_once(
    http: EchoServer, offer: bytes, cut: int | None
) -> None:
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
