"""What one client of the REST server can take: each limit, and the answer beyond it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.unit.serving.echo import EchoServer, read_all, status_of
from tests.waiting import DEADLINE_S, until


def test_a_body_over_the_limit_is_refused_before_it_comes(start: Callable[..., EchoServer]) -> None:
    http = start(max_request_body_bytes=1000)
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
        reply = read_all(client)
    assert status_of(reply) == [413]
    assert b'"error": "The request body is larger than 1000 bytes, the limit set by --max_request_body_bytes"' in reply
    assert status_of(http.exchange(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))) == [200]


def test_a_body_of_unknown_length_is_refused_when_it_is_over_the_limit(start: Callable[..., EchoServer]) -> None:
    http = start(max_request_body_bytes=1000)
    chunk = b"1f4\r\n" + bytes(500) + b"\r\n"
    reply = http.exchange(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert status_of(reply) == [413]


def test_all_bodies_together_are_limited(start: Callable[..., EchoServer]) -> None:
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


def test_predictions_over_the_limit_are_refused_and_all_else_goes_on(start: Callable[..., EchoServer]) -> None:
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


def test_clients_that_go_away_leave_nothing_in_the_queue(start: Callable[..., EchoServer]) -> None:
    http = start(max_queued_requests=2)
    for _ in range(2):
        with http.connect() as client:
            client.sendall(b"POST /wait HTTP/1.1\r\n\r\n")
            until(http.app.waiting.is_set)
            http.app.waiting.clear()
    http.app.release.set()
    until(lambda: http.server.queued == 0)


@pytest.mark.parametrize("sent", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_client_that_stops_sending_is_timed_out(start: Callable[..., EchoServer], sent: bytes) -> None:
    http = start(http_read_timeout_seconds=1)
    started = time.monotonic()
    with http.connect() as client:
        client.sendall(sent)
        reply = read_all(client)
    assert status_of(reply) == [408]
    assert time.monotonic() - started >= 1


def test_a_client_that_drips_is_timed_out(start: Callable[..., EchoServer]) -> None:
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


def test_a_client_that_does_not_read_is_cut_off(start: Callable[..., EchoServer]) -> None:
    http = start(http_read_timeout_seconds=1)
    with http.connect() as client:
        client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        until(lambda: bool(http.server.connections))
        until(lambda: not http.server.connections)


def test_slow_requests_do_not_hold_up_others(http: EchoServer) -> None:
    with http.connect() as slow:
        slow.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        assert http.app.waiting.wait(DEADLINE_S)
        assert status_of(http.exchange(b"GET / HTTP/1.1\r\n\r\n")) == [200]


@pytest.mark.parametrize("before", [b"", b"/", b"/v1/models/", b"a" * 10 + b":"])
def test_a_long_target_takes_no_time(http: EchoServer, before: bytes) -> None:
    """Its scheme was once looked for at every place, which took a minute for this one."""
    began = time.monotonic()
    reply = http.exchange(b"GET " + before + b"a" * 900_000 + b" HTTP/1.1\r\n\r\n")
    assert time.monotonic() - began < 5
    assert reply.startswith((b"HTTP/1.1 414 Request-URI Too Large\r\n", b"HTTP/1.1 400 "))


def test_the_longest_target_that_is_taken(http: EchoServer) -> None:
    target = b"/" + b"a" * (64 * 1024 - 1)
    assert http.exchange(b"GET " + target + b" HTTP/1.1\r\n\r\n").endswith(b"GET " + target + b" ")
    assert http.exchange(b"GET " + target + b"a HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")
