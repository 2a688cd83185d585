"""The names that a server answers to."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from serving.hosts import AllowedHosts
from tests.unit.serving.echo import EchoServer, status_of


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8501",
        "localhost.",
        "server:8501",
        "a.localhost:1",
        "127.0.0.1:8501",
        "192.0.2.7",
        "[::1]:8501",
        "::1",
        "[fe80::1%25eth0]",
        "",
        socket.gethostname(),
    ],
)
def test_by_default_addresses_and_local_names_are_allowed(host: str) -> None:
    hosts = AllowedHosts("")
    assert hosts.allows(host.encode())
    assert hosts.allows(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com:80",
        "1.2.3",
        "a.b:c:d",
        "[::1].example.com",
        "\xff.example",
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not AllowedHosts("").allows(host.encode("latin-1"))


def test_names_can_be_listed() -> None:
    hosts = AllowedHosts("models.example.com, .internal")
    assert hosts.allows(b"Models.example.com:8501")
    assert hosts.allows(b"a.b.internal")
    assert not hosts.allows(b"other.example.com")
    assert not hosts.allows(b"internal.example.com")
    assert AllowedHosts("*").allows(b"anything")


def test_what_clients_send_is_not_remembered_without_bound() -> None:
    hosts = AllowedHosts("*")
    assert all(hosts.allows(f"{number}.example.com".encode()) for number in range(1000))
    assert len(hosts._known) < 100


def test_a_request_for_another_host_is_refused(start: Callable[..., EchoServer]) -> None:
    http = start(allowed_hosts="models.example.com")
    reply = http.exchange(b"GET / HTTP/1.1\r\nHost: evil.example.com:80\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert status_of(reply) == [403]
    assert b'"error": "The request is for the host evil.example.com, which is not among the names of' in reply
    both = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n"
    assert status_of(http.exchange(both)) in ([400], [403])
    assert status_of(http.exchange(b"GET / HTTP/1.1\r\nHost: models.example.com\r\n\r\n")) == [200]
    assert status_of(http.exchange(b"GET / HTTP/1.0\r\n\r\n")) == [200]
