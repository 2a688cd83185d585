"""Waiting for a server that is there, is not, says no, or is something else."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from bundle.errors import BundleError
from rollout.client import Client
from rollout.waiting import LoadFailed, until_available
from tests.unit.bundle.parts import MODEL, make_version
from tests.unit.rollout.stand_in import BROKEN, StandIn


def alive() -> None:
    pass


def test_a_version_that_appears_while_we_wait_is_seen(client: Client, base: Path) -> None:
    make_version(base / "1")
    timer = threading.Timer(0.3, make_version, [base / "2"])
    timer.start()
    assert until_available(client, MODEL, 2, 10, alive) == 2
    timer.join()


def test_any_version_will_do_when_none_is_named(client: Client, base: Path) -> None:
    make_version(base / "7")
    assert until_available(client, MODEL, None, 10, alive) == 7


def test_the_servers_own_error_is_raised_at_once(client: Client, base: Path) -> None:
    make_version(base / "3", BROKEN)
    with pytest.raises(LoadFailed, match="version 3 did not load: FAILED_PRECONDITION: it cannot be loaded"):
        until_available(client, MODEL, 3, 60, alive)


def test_a_deadline_says_what_was_there(client: Client, base: Path) -> None:
    make_version(base / "1")
    with pytest.raises(BundleError, match=r"waited 0\.3 s for version 2 .* lists 1 AVAILABLE\. Look at: make logs"):
        until_available(client, MODEL, 2, 0.3, alive)
    with pytest.raises(BundleError, match=r"for a version of Other .* lists no version at all"):
        until_available(client, "Other", None, 0.3, alive)


def test_who_is_not_alive_is_not_waited_for(client: Client) -> None:
    def dead() -> None:
        raise BundleError("it has ended")

    with pytest.raises(BundleError, match="it has ended"):
        until_available(client, MODEL, None, 60, dead)


def test_nobody_there_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(BundleError, match=f"nothing answers at http://127.0.0.1:{port}; run: make up"):
        Client("127.0.0.1", port, 1).versions(MODEL)


def test_versions_come_with_the_servers_words(client: Client, base: Path) -> None:
    make_version(base / "1")
    make_version(base / "2", BROKEN)
    broken, good = client.versions(MODEL)
    assert (broken.version, broken.state, broken.error_code) == (2, "END", "FAILED_PRECONDITION")
    assert (good.version, good.state, good.error_code, good.error_message) == (1, "AVAILABLE", "OK", "")
    assert client.versions("Unknown") == []


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>It works!</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"null"),
        (200, json.dumps({"model_version_status": [{"version": "one"}]}).encode()),
        (200, b"\xff"),
        (500, b"oops"),
    ],
)
def test_something_else_on_the_port_is_an_error_for_the_user(
    client: Client, server: StandIn, answer: tuple[int, bytes]
) -> None:
    server.answer = answer
    with pytest.raises(BundleError, match=f":{server.port}/v1/models/{MODEL}"):
        client.versions(MODEL)


def test_a_proxy_in_the_environment_is_not_asked(client: Client, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(base / "1")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert client.available(MODEL) == [1]


def test_addresses_of_both_kinds() -> None:
    assert Client("::1", 8501, 8500).rest_url == "http://[::1]:8501"
    assert Client("::1", 8501, 8500).grpc_address == "[::1]:8500"
    assert Client("localhost", 8501, 8500).rest_url == "http://localhost:8501"
