"""Waiting for a server that is there, is not, says no, gives no answer, or is something else."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle.errors import BundleError, RefusedVersion
from bundle.versions import version_folders
from rollout import canary, gate, ledger, probe, release, retention, rollback, waiting
from rollout.client import Client, NoAnswer, NothingListens
from rollout.model import Model
from rollout.release import Order
from rollout.waiting import LoadFailed, until_available, until_gone
from tests.unit.bundle.parts import MODEL, make_version, python
from tests.unit.rollout.stand_in import BROKEN, StandIn
from tests.waiting import until


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
    with pytest.raises(BundleError, match=f"nothing listens at http://127.0.0.1:{port}; run: make up"):
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


# What became of the server, by how it looks from outside.

SERVE = """
import sys, threading
from pathlib import Path
from tests.unit.rollout.stand_in import StandIn
with StandIn({sys.argv[1]: Path(sys.argv[2])}, Path(sys.argv[3])) as server:
    print(server.port, flush=True)
    threading.Event().wait()
"""


@dataclasses.dataclass(frozen=True)
class Server:
    """A server in a process of its own, which can be frozen and killed."""

    process: subprocess.Popen[str]
    port: int

    def freeze(self) -> None:
        """Stop it as a debugger does: the kernel goes on taking connections for it."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def apart(root: Path, base: Path) -> Iterator[Server]:
    process = python(SERVE, MODEL, base, root / "models.config")
    try:
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def one(model: Model, apart: Server, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The model on the server of its own, with little patience; every candidate passes the gate."""
    monkeypatch.setattr(gate, "run", lambda *_, **__: gate.Report.of([]))
    monkeypatch.setattr(waiting, "STATUS_TIMEOUT_S", 0.3)
    client = Client("127.0.0.1", apart.port, 1, timeout_s=0.5)
    settings = dataclasses.replace(model.settings, ready_timeout_seconds=1)
    return dataclasses.replace(model, client=client, settings=settings)


@pytest.fixture
def closed() -> Client:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Client("127.0.0.1", listener.getsockname()[1], 1)


@pytest.fixture
def mute() -> Iterator[Client]:
    """A socket that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Client("127.0.0.1", listener.getsockname()[1], 1, timeout_s=0.2)


@pytest.fixture
def rude() -> Iterator[Client]:
    """A socket that takes connections and hangs up, as a server that dies does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield Client("127.0.0.1", listener.getsockname()[1], 1)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


WORDS = {
    "closed": (waiting.NotThere, NothingListens, r"nothing listens at http://127\.0\.0\.1:\d+; run: make up"),
    "mute": (waiting.NotAnswering, NoAnswer, r"did not answer within 0\.2 s; is it stuck\? .*make restart"),
    "rude": (waiting.NotAnswering, NoAnswer, r"hung up without an answer .* make logs"),
}


@pytest.mark.parametrize("what", WORDS)
def test_each_way_of_not_answering_has_its_words(what: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(what)
    not_seen, unreachable, words = WORDS[what]
    with pytest.raises(unreachable, match=words):
        client.versions(MODEL)
    with pytest.raises(not_seen, match=rf"waited 0\.3 s for version 2 of {MODEL} to become AVAILABLE; .*{words}"):
        until_available(client, MODEL, 2, 0.3, alive)
    with pytest.raises(not_seen, match=rf"waited 0\.3 s for version 1 and 2 of {MODEL} to be unloaded; .*{words}"):
        until_gone(client, MODEL, {1, 2}, 0.3, alive)


def test_what_a_server_goes_on_listing_is_not_gone(client: Client, base: Path) -> None:
    make_version(base / "1")
    with pytest.raises(waiting.OutOfTime, match=r"to be unloaded; the server lists 1 AVAILABLE"):
        until_gone(client, MODEL, {1}, 0.3, alive)
    until_gone(client, MODEL, {2}, 0.3, alive)


def test_a_host_that_is_not_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NothingListens):
        Client("server", 8501, 1).versions(MODEL)


def test_a_server_that_comes_back_in_time_is_seen(one: Model, apart: Server) -> None:
    make_version(one.base_path / "1")
    apart.freeze()
    timer = threading.Timer(0.5, os.kill, [apart.process.pid, signal.SIGCONT])
    timer.start()
    assert one.client is not None
    assert until_available(one.client, MODEL, 1, 20, alive) == 1
    timer.join()


LOST: dict[str, tuple[Callable[[Server], None], str]] = {
    "frozen": (Server.freeze, "did not answer within"),
    "killed": (Server.kill, "nothing listens at"),
}


def events(model: Model) -> list[tuple[str, int | None]]:
    return [(entry.event, entry.version) for entry in model.ledger.entries()]


@pytest.mark.parametrize("how", LOST)
def test_a_rollback_that_nobody_saw_is_done_and_says_so(how: str, one: Model, apart: Server) -> None:
    for number in (1, 2):
        make_version(one.base_path / str(number))
    lose, words = LOST[how]
    lose(apart)
    with pytest.raises(waiting.NotSeen) as caught:
        rollback.roll_back(one, None, "no good")
    quarantined = one.quarantine / "2"
    assert f"version 2 is in {quarantined}, but nobody saw version 1 answer, or version 2 unloaded" in str(caught.value)
    assert words in str(caught.value) and "make status" in str(caught.value)
    assert quarantined.is_dir() and list(version_folders(one.base_path)) == [1]
    assert events(one) == [(ledger.ROLLED_BACK, 2)]


@pytest.mark.parametrize("how", LOST)
def test_an_abort_that_nobody_saw_is_done_and_says_so(how: str, one: Model, apart: Server, tmp_path: Path) -> None:
    config = one.config.read_text()
    make_version(one.base_path / "1")
    canary.start(one, Order(make_version(tmp_path / "source"), "a test"))
    lose, words = LOST[how]
    lose(apart)
    with pytest.raises(waiting.NotSeen) as caught:
        canary.abort(one, "no better")
    assert f"the candidate is in {one.quarantine / '2'}, but nobody saw the server unload it" in str(caught.value)
    assert words in str(caught.value)
    assert one.config.read_text() == config
    assert events(one)[-1] == (ledger.ABORTED, 2)


@pytest.mark.parametrize("how", LOST)
def test_a_promotion_whose_end_nobody_saw_is_done_and_says_so(
    how: str, one: Model, apart: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = one.config.read_text()
    make_version(one.base_path / "1")
    order = Order(make_version(tmp_path / "source"), "a test")
    canary.start(one, order)
    lose, words = LOST[how]
    served = release.serve

    def serve_and_go(*arguments: object) -> None:
        served(*arguments)  # type: ignore[arg-type]
        lose(apart)

    monkeypatch.setattr(release, "serve", serve_and_go)
    with pytest.raises(waiting.NotSeen, match="version 2 is live, but nobody saw the server let go of the") as caught:
        canary.promote(one, order)
    assert words in str(caught.value)
    assert list(version_folders(one.base_path)) == [1, 2]
    assert one.config.read_text() == config
    assert events(one)[-1] == (ledger.PROMOTED, 2)


@pytest.mark.parametrize("how", LOST)
def test_a_promotion_that_nobody_saw_begin_can_be_finished(how: str, one: Model, apart: Server, tmp_path: Path) -> None:
    make_version(one.base_path / "1")
    order = Order(make_version(tmp_path / "source"), "a test")
    canary.start(one, order)
    lose, words = LOST[how]
    lose(apart)
    with pytest.raises(waiting.NotSeen, match="Version 1 goes on; finish it: make promote") as caught:
        canary.promote(one, order)
    assert words in str(caught.value)
    if how == "frozen":
        os.kill(apart.process.pid, signal.SIGCONT)
        assert canary.promote(one, order).number == 2


@pytest.mark.parametrize("how", LOST)
def test_a_canary_that_nobody_saw_answer_is_ended(how: str, one: Model, apart: Server, tmp_path: Path) -> None:
    config = one.config.read_text()
    make_version(one.base_path / "1")
    lose, words = LOST[how]
    lose(apart)
    with pytest.raises(waiting.NotSeen, match="the canary was ended, because nobody saw it answer") as caught:
        canary.start(one, Order(make_version(tmp_path / "source"), "a test"))
    assert words in str(caught.value)
    assert one.config.read_text() == config
    assert (one.quarantine / "2").is_dir()
    assert events(one)[-1] == (ledger.ABORTED, 2)


@pytest.mark.parametrize("how", LOST)
def test_a_release_that_nobody_saw_is_published_and_says_so(
    how: str, one: Model, apart: Server, tmp_path: Path
) -> None:
    lose, words = LOST[how]
    lose(apart)
    with pytest.raises(waiting.NotSeen, match="version 1 is published, but nobody saw it answer") as caught:
        release.release(one, Order(make_version(tmp_path / "source"), "a test"))
    assert words in str(caught.value)
    assert not isinstance(caught.value, RefusedVersion)
    assert list(version_folders(one.base_path)) == [1]
    assert events(one)[-1] == (ledger.PUBLISHED, 1)


def test_nothing_is_retired_while_the_server_does_not_say_what_it_has_loaded(one: Model, apart: Server) -> None:
    for number in (1, 2, 3):
        make_version(one.base_path / str(number))
    few = dataclasses.replace(one, settings=dataclasses.replace(one.settings, keep_versions=2))
    apart.freeze()
    assert retention.retire_old(few) == []
    os.kill(apart.process.pid, signal.SIGCONT)
    until(lambda: retention.retire_old(few) == [1], "for the oldest to be retired")


def test_a_breach_on_a_server_that_dies_takes_the_version_out_and_says_what_was_not_seen(
    one: Model, apart: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        make_version(one.base_path / str(number))
    watched = dataclasses.replace(one, settings=dataclasses.replace(one.settings, watch_seconds=30))

    def wrong(*_: object) -> None:
        apart.kill()
        raise probe.WrongAnswers("00.png is answered with [1, 2]")

    monkeypatch.setattr(probe, "require_right_answers", wrong)
    with pytest.raises(RefusedVersion, match=r"version 2 was taken out: 00\.png .* nobody saw version 1 answer"):
        release.watch(watched, 2, None, Order(one.base_path, "a test").interruption)
