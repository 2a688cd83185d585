"""What could not be checked is tried again, said so, and refused after the third time; a missing gate is no try."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle import publish
from bundle.errors import BundleError, UncheckedVersion
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import canary, commands, gate, lane, release, restore, status, trainings
from rollout import model as models
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.gate import queue
from rollout.interrupt import Interruption
from rollout.model import Model
from rollout.postponed import Postponed, Postponements, looks_of
from rollout.release import Order
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, make_version
from tests.waiting import until

FIRST_PAUSE_S = 60.0


class Gate:
    """Takes the place of the gate: says what the test wants, and counts."""

    def __init__(self) -> None:
        self.verdict: gate.Verdict = "unchecked"
        self.tries = 0

    def run(self, *_: object, **__: object) -> gate.Report:
        self.tries += 1
        return gate.Report.of([gate.Finding("loads", self.verdict, "it took longer than 120 s")])


@pytest.fixture(autouse=True)
def stand_in_gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    monkeypatch.setattr(gate, "run", made.run)
    return made


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day as the notes see it; a test moves it."""
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(lane, "_PROVEN_QUIET_S", 0.05)
    return now


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return dataclasses.replace(settings, drop_quiet_seconds=0.1)


@pytest.fixture
def drop(settings: Settings) -> Path:
    folder = settings.drop_dir / MODEL
    folder.mkdir(parents=True)
    return folder


def look(watcher: Watcher, s: float = 0.4) -> None:
    """Let a watcher look round for a while, long enough for a quiet folder."""
    end = time.monotonic() + s
    while time.monotonic() < end:
        watcher.look()
        time.sleep(0.02)


def looked(watcher: Watcher) -> bool:
    """Look round once, as part of a condition that is waited for."""
    watcher.look()
    return True


@contextlib.contextmanager
def closing(watcher: Watcher) -> Iterator[Watcher]:
    """A watcher that is gone after the block."""
    with watcher._marked():
        yield watcher


@pytest.fixture
def watcher(quick: Settings, client: Client) -> Watcher:
    return Watcher(quick, client)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_drop_is_tried_three_times_with_growing_pauses_and_then_refused(
    watcher: Watcher,
    drop: Path,
    settings: Settings,
    stand_in_gate: Gate,
    clock: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_version(drop / "mine")
    until(lambda: looked(watcher) and stand_in_gate.tries == 1, "for the first try")
    for tries, pause_s in ((1, FIRST_PAUSE_S), (2, 5 * FIRST_PAUSE_S)):
        look(watcher)
        clock[0] += pause_s - 1
        look(watcher)
        assert stand_in_gate.tries == tries and names(drop) == ["mine"]
        assert caplog.text.count("waits for another try") == tries
        assert f"try {tries} of 3: it could not be checked: it took longer than 120 s" in caplog.text
        clock[0] += 1
        until(lambda: looked(watcher) and stand_in_gate.tries == tries + 1, "for the next try")  # noqa: B023
    refused = settings.quarantine_dir / MODEL / "mine.reason.txt"
    until(lambda: looked(watcher) and refused.is_file(), "for the refusal")
    assert "it was tried 3 times, the last time with this end: it could not be checked" in refused.read_text()
    assert list(drop.iterdir()) == []
    assert stand_in_gate.tries == 3


def test_one_that_passes_at_the_second_try_goes_live(
    watcher: Watcher, drop: Path, base: Path, stand_in_gate: Gate, clock: list[float]
) -> None:
    make_version(drop / "mine")
    until(lambda: looked(watcher) and stand_in_gate.tries == 1, "for the first try")
    stand_in_gate.verdict = "passed"
    clock[0] += FIRST_PAUSE_S
    until(lambda: looked(watcher) and list(version_folders(base)) == [1], "for version 1")
    assert list(drop.iterdir()) == []


def test_the_count_and_the_pause_outlive_the_watcher(
    quick: Settings, client: Client, drop: Path, stand_in_gate: Gate, clock: list[float]
) -> None:
    make_version(drop / "mine")
    for tries in (1, 2):
        with closing(Watcher(quick, client)) as first:
            until(lambda: looked(first) and stand_in_gate.tries == tries, "for a try")  # noqa: B023
        with closing(Watcher(quick, client)) as other:
            look(other)
        assert stand_in_gate.tries == tries
        clock[0] += FIRST_PAUSE_S * 5
    last = Watcher(quick, client)
    until(lambda: looked(last) and names(drop) == [], "for the refusal")
    assert stand_in_gate.tries == 3


def test_new_content_under_the_name_is_tried_at_once_and_counted_anew(
    watcher: Watcher, drop: Path, stand_in_gate: Gate
) -> None:
    make_version(drop / "mine")
    until(lambda: looked(watcher) and stand_in_gate.tries == 1, "for the first try")
    (drop / "mine" / "assets" / "deep" / "new.bin").write_bytes(b"more")
    until(lambda: looked(watcher) and stand_in_gate.tries == 2, "for the try of the new one")
    (note,) = Postponements(drop).all().values()
    assert note.tries == 1


def test_another_drop_does_not_wait_for_it(
    watcher: Watcher, drop: Path, base: Path, stand_in_gate: Gate, clock: list[float]
) -> None:
    make_version(drop / "a slow one")
    until(lambda: looked(watcher) and stand_in_gate.tries == 1, "for the first try")
    stand_in_gate.verdict = "passed"
    make_version(drop / "good")
    until(lambda: looked(watcher) and list(version_folders(base)) == [1], "for the good one")
    assert names(drop) == ["a slow one"]


@pytest.mark.parametrize(("step_s", "due"), [(3600, True), (-3600, True), (0, False)])
def test_a_clock_that_is_set_makes_no_pause_longer(
    tmp_path: Path, clock: list[float], step_s: float, due: bool
) -> None:
    note = Postponements(tmp_path).put_off("mine", "looks", BundleError("no time"), 60, 0)
    assert note.is_due(clock[0] + step_s, True) is due


@pytest.mark.parametrize("name", ["n" * 250, os.fsdecode(b"latin-1 \xe9"), "a\nnew line"])
def test_any_name_of_a_folder_can_be_noted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    looks = looks_of(tmp_path / name)
    written = Postponements(tmp_path).put_off(name, looks, BundleError("no time"), 60, 0)
    assert Postponements(tmp_path).of(name, looks) == written
    assert Postponements(tmp_path).of(name, "other") is None
    Postponements(tmp_path).forget(name)
    assert Postponements(tmp_path).all() == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', "\0"])
def test_a_damaged_note_counts_as_none(tmp_path: Path, text: str) -> None:
    notes = Postponements(tmp_path)
    notes.put_off("mine", "looks", BundleError("no time"), 60, 0)
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert Postponements(tmp_path).of("mine", "looks") is None


def test_a_note_of_what_is_gone_is_swept(drop: Path, model: Model) -> None:
    Postponements(drop).put_off("mine", "looks", BundleError("no time"), 60, 0)
    Dropbox(model).recover()
    assert list(drop.iterdir()) == []


def test_a_training_is_tried_three_times_and_then_in_quarantine(
    watcher: Watcher, model: Model, stand_in_gate: Gate, clock: list[float], tmp_path: Path
) -> None:
    publish_training(model, tmp_path, "mine")
    for tries in (1, 2, 3):
        assert trainings.staged(model.base_path) == ["mine"]
        watcher.look()
        watcher.look()
        assert stand_in_gate.tries == tries
        clock[0] += FIRST_PAUSE_S * 5
    assert trainings.staged(model.base_path) == []
    assert "it was tried 3 times" in (model.quarantine / "training-mine.reason.txt").read_text()
    assert (model.quarantine / "training-mine" / "saved_model.pb").is_file()


def test_a_fault_that_a_training_brings_out_counts_as_a_try(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no room in the table")

    publish_training(model, tmp_path, "ours")
    monkeypatch.setattr(trainings, "release", fail)
    note = trainings.take_up(model, "ours", Interruption())
    assert isinstance(note, Postponed)
    assert "a fault of the watcher: RuntimeError: no room in the table" in note.reason
    assert trainings.staged(model.base_path) == ["ours"]


def publish_training(model: Model, tmp_path: Path, name: str) -> None:
    source = make_version(tmp_path / "finished")
    publish.stage_training(source, model.base_path, model.quarantine, name)


def test_status_says_what_waits_why_and_until_when(
    watcher: Watcher,
    drop: Path,
    model: Model,
    stand_in_gate: Gate,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_version(drop / "mine")
    publish_training(model, tmp_path, "ours")
    until(lambda: looked(watcher) and stand_in_gate.tries == 2, "for both tries")
    publish_training(model, tmp_path, "later")
    status.show(model.settings)
    lines = capsys.readouterr().out.splitlines()
    why = "try 1 of 3: it could not be checked: it took longer than 120 s; the next one is at 1970-01-12"
    assert any(line.startswith(f"  in drop           mine: {why}") for line in lines), lines
    assert any(line.startswith(f"  trained           ours: {why}") for line in lines), lines
    assert any(
        line.startswith("  trained           later: the drop watcher takes it up; to release it now: make publish")
        for line in lines
    ), lines


COMMANDS: dict[str, Callable[[Model, Path], object]] = {
    "publish": lambda model, source: release.release(model, Order(source, "a test")),
    "canary": lambda model, source: canary.start(model, Order(source, "a test")),
    "restore": lambda model, source: restore.restore(model, 7, Order(source, "a test")),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_it_and_change_nothing(command: str, model: Model, tmp_path: Path) -> None:
    make_version(model.base_path / "1")
    make_version(model.quarantine / "7")
    source = make_version(tmp_path / "source")
    with pytest.raises(UncheckedVersion) as caught:
        COMMANDS[command](model, source)
    assert caught.value.exit_status == 4
    assert "could not be checked: it took longer than 120 s; nothing was published; try again" in str(caught.value)
    assert list(version_folders(model.base_path)) == [1]
    assert source.is_dir() and (model.quarantine / "7").is_dir()
    assert [path.name for path in model.base_path.glob(".staging-*")] == []
    assert [entry.event for entry in model.ledger.entries()] == ["found", "unchecked"]


def test_a_dry_run_says_it_too(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_version(tmp_path / "source")
    arguments = argparse.Namespace(
        source=source, version=None, dry_run=True, allow_signature_change=False, allow_unmeasured=False, allow_ops=[]
    )
    monkeypatch.setattr(models, "find", lambda _: model)
    with pytest.raises(UncheckedVersion, match="could not be checked"):
        commands.publish(model.settings, arguments)


# A gate in another process that is not there.


@pytest.fixture
def apart(quick: Settings, stand_in_gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """GATE_DIR is set, and the real client of it asks; nobody looks after it."""
    from rollout.gate import remote

    def run(candidate: Path, live: Path | None, settings: Settings, **_: object) -> gate.Report:
        return remote.run(candidate, live, settings, False, False)

    monkeypatch.undo()
    monkeypatch.setattr(gate, "run", run)
    monkeypatch.setattr(lane, "_PROVEN_QUIET_S", 0.05)
    monkeypatch.setattr(queue, "SILENCE_S", 1.0)
    return dataclasses.replace(quick, gate_dir=str(tmp_path / "gate"))


def test_a_gate_that_is_down_puts_nothing_into_quarantine(
    apart: Settings, client: Client, drop: Path, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make_version(drop / "mine")
    watcher = Watcher(apart, client)
    until(lambda: looked(watcher) and "no gate looks after" in caplog.text, "for the complaint")
    look(watcher, 3.0)
    assert caplog.text.count("waits for another try; ") == 1
    assert names(drop) == ["mine"]
    assert not (apart.quarantine_dir / MODEL).exists()
    (note,) = Postponements(drop).all().values()
    assert (note.tries, note.due) == (0, None)
    assert "it is tried as soon as a gate is there" in note.in_words()


def test_when_the_gate_is_back_the_drop_is_tried_at_once(
    apart: Settings, client: Client, drop: Path, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(drop / "mine")
    watcher = Watcher(apart, client)
    until(lambda: looked(watcher) and "no gate looks after" in caplog.text, "for the complaint")
    folder = Path(apart.gate_dir)

    def answer() -> bool:
        """What a gate does: a sign of life, and an answer to each request."""
        (folder / queue.ALIVE).touch()
        for path in folder.glob(f"*{queue.REQUEST}"):
            queue.put(folder, path.stem + queue.ANSWER, queue.Answer.of(gate.Report.of([])).text())
        return list(version_folders(base)) == [1]

    answer()
    over = threading.Event()

    def be_the_gate() -> None:
        while not over.wait(0.05):
            answer()

    thread = threading.Thread(target=be_the_gate)
    thread.start()
    try:
        until(lambda: looked(watcher) and list(version_folders(base)) == [1], "for version 1")
    finally:
        over.set()
        thread.join()
    assert Postponements(drop).all() == {}


def test_a_gate_that_ends_while_it_examines_counts_as_a_try(
    apart: Settings, client: Client, drop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(drop / "mine")
    folder = Path(apart.gate_dir)
    folder.mkdir()
    ahead = time.time() + 1
    (folder / queue.ALIVE).touch()
    os.utime(folder / queue.ALIVE, (ahead, ahead))  # It showed a sign after it was asked, and then none.
    watcher = Watcher(apart, client)
    until(lambda: looked(watcher) and "ended meanwhile" in caplog.text, "for the complaint")
    (note,) = Postponements(drop).all().values()
    assert note.tries == 1 and note.due is not None
    assert json.loads(next(drop.glob(".waits-*")).read_text())["tries"] == 1
