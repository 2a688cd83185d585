"""What one client of the REST server can take: each limit, and the answer beyond it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import pytest

from serving import memory
from serving.places import State
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


def sending(http: EchoServer, announced: int, sent: int) -> socket.socket:
    """A client that has sent part of its body."""
    client = http.connect()
    client.sendall(f"POST / HTTP/1.1\r\nContent-Length: {announced}\r\n\r\n".encode() + bytes(sent))
    return client


def test_large_bodies_together_are_limited_and_small_ones_are_taken_all_the_while(
    start: Callable[..., EchoServer],
) -> None:
    http = start(max_request_body_bytes=1_000_000)  # four of them at most, two from one address
    held = [sending(http, 1_000_000, 990_000) for _ in range(2)]
    try:
        until(lambda: http.server.bodies.large.held == 1_980_000)
        with sending(http, 1_000_000, 300_000) as third:
            reply = read_all(third)
        assert status_of(reply) == [429]
        assert b"hold 1980000 bytes; expected at most 4000000, of which one client address may have half" in reply
        small = b"POST / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
        assert status_of(http.exchange(small)) == [200]
    finally:
        for client in held:
            client.close()
    until(lambda: http.server.bodies.large.held == http.server.bodies.small.held == 0)


def test_a_large_body_that_nobody_wants_is_counted_until_its_memory_is_free(
    start: Callable[..., EchoServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    http, discarding, free = start(), threading.Event(), threading.Event()

    def discard(block: bytearray) -> None:
        assert len(block) == 5_000_000
        discarding.set()
        free.wait(DEADLINE_S)

    monkeypatch.setattr(memory, "discard", discard)
    with sending(http, 6_000_000, 5_000_000):
        until(lambda: http.server.bodies.large.held == 5_000_000)
    assert discarding.wait(DEADLINE_S)
    assert http.server.bodies.large.held == 5_000_000
    free.set()
    until(lambda: http.server.bodies.large.held == 0)


def test_a_body_in_a_million_pieces_takes_no_more_memory_than_in_one(start: Callable[..., EchoServer]) -> None:
    http = start()
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        tracemalloc.start()
        try:
            client.sendall(b"2\r\nab\r\n" * 1_000_000)
            until(lambda: http.server.bodies.large.held == 2_000_000)
            assert tracemalloc.get_traced_memory()[0] < 5_000_000
        finally:
            tracemalloc.stop()


def test_the_body_of_a_client_that_is_gone_counts_while_somebody_works_on_it(start: Callable[..., EchoServer]) -> None:
    http = start()
    with http.connect() as client:
        client.sendall(b"POST /wait HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))
        assert http.app.waiting.wait(DEADLINE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # It resets the connection.
    until(lambda: not http.server.connections)
    assert http.server.bodies.small.held == 1000
    http.app.release.set()
    until(lambda: http.server.bodies.small.held == 0)


def test_what_came_fast_earns_no_time_for_a_silence(start: Callable[..., EchoServer]) -> None:
    http = start(http_read_timeout_seconds=1)
    began = time.monotonic()
    with sending(http, 50_000_000, 49_000_000) as client:  # At 50 kB/s that would have been a quarter of an hour.
        assert status_of(read_all(client)) == [408]
    assert time.monotonic() - began < 60


def test_a_slow_client_may_take_its_time_while_it_keeps_sending(start: Callable[..., EchoServer]) -> None:
    http = start(http_read_timeout_seconds=2)
    with http.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(10):
            client.sendall(bytes(100_000))
            time.sleep(0.5)
        assert status_of(client.recv(1000)) == [200]


def has(http: EchoServer, state: State, count: int) -> bool:
    """Whether so many connections are in a state."""
    return sum(each.state is state for each in http.server.connections) == count


def test_idle_connections_make_room_for_others_the_oldest_first(start: Callable[..., EchoServer]) -> None:
    http = start(max_connections=8)  # four from one address
    with contextlib.ExitStack() as opened:
        clients = []
        for number in range(4):
            clients.append(opened.enter_context(http.connect()))
            until(lambda: len(http.server.connections) == len(clients))
            if number == 0:
                clients[0].sendall(b"POST /wait HTTP/1.1\r\n\r\n")
                assert http.app.waiting.wait(DEADLINE_S)
        clients[1].sendall(b"GET / HTTP/1.1\r\n\r\n")  # Now it has been idle for the shortest time.
        assert status_of(clients[1].recv(1000)) == [200]
        clients[3].sendall(b"GET / HT")
        until(partial(has, http, State.RECEIVING, 1))
        for answering, leaving in enumerate((clients[2], clients[1], clients[3]), 2):
            clients.append(opened.enter_context(http.connect()))
            assert read_all(leaving) == b""
            clients[-1].sendall(b"POST /wait HTTP/1.1\r\n\r\n")
            until(partial(has, http, State.ANSWERING, answering))
        refused = read_all(opened.enter_context(http.connect()))
        assert status_of(refused) == [503]
        assert b"All connections that --max_connections allows" in refused
        http.app.release.set()
        assert status_of(clients[0].recv(1000)) == [200]


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


def test_who_sends_much_at_once_waits_for_itself(start: Callable[..., EchoServer]) -> None:
    http = start()
    order: list[str] = []
    http.app.begun = order.append
    ask = b"POST /soon HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
    held = threading.Event()
    with contextlib.ExitStack() as opened:
        many = [opened.enter_context(http.connect()) for _ in range(200)]
        one = opened.enter_context(
            socket.create_connection(("127.0.0.1", http.server.port), DEADLINE_S, ("127.0.0.2", 0))
        )
        until(lambda: len(http.server.connections) == 201)
        http.server.call(held.wait, DEADLINE_S)  # The loop finds everything at once.
        for client in many:
            client.sendall(ask + b"all")
        one.sendall(ask + b"one")
        held.set()
        assert one.recv(1000).endswith(b"POST /soon one")
        assert all(client.recv(1000).endswith(b"POST /soon all") for client in many)
    assert order.index("one") < 100


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
