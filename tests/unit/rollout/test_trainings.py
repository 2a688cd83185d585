"""Staged trainings: released once, by whoever is there, and never lost; the gate is taken for granted."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle import publish
from bundle.errors import BundleError, RefusedVersion, UncheckedVersion, UsageError
from bundle.pins import Pins
from bundle.versions import version_folders
from rollout import gate, labels, lane, ledger, trainings
from rollout.model import Model
from rollout.release import Order
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, digest, finish, killed_after, make_version, python
from tests.unit.rollout.stand_in import BROKEN, StandIn
from tests.waiting import until

# watchdog speaks of a watch that it set twice when a folder is renamed while it looks into it.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

REFUSED = b"refuse this one"
UNCHECKED = b"no time for this one"

GATE = """
import sys, time
from pathlib import Path
from bundle import output
from bundle.environment import load
from rollout import commands, gate, lane, trainings, watch
from rollout.client import Client
from rollout.model import Model
root, port, check_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def run(*_, **__):
    time.sleep(check_s)
    return gate.Report.of([])
gate.run = run
short = {"DROP_QUIET_SECONDS": "0.3", "READY_TIMEOUT_SECONDS": "5", "WATCH_SECONDS": "0", "KEEP_VERSIONS": "50"}
settings, client = load(root, short), Client("127.0.0.1", port, 1)
lane._PENDING_TICK_S, lane._PROVEN_QUIET_S, lane._IDLE_TICK_S = 0.03, 0.1, 0.1
"""
WATCH = f"{GATE}\nsys.exit(watch.main(settings, client, None))\n"
DELIVER = f"""{GATE}
model = Model({MODEL!r}, settings.models_dir / {MODEL!r}, settings, client)
trainings.find = lambda _: model
sys.exit(output.run_command(lambda: commands.release_training(settings, sys.argv[4])))
"""
MARK = """
import sys, time
from pathlib import Path
from rollout.trainings import Mark
mark = Mark(Path(sys.argv[1]))
print(mark.renew(), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def gated(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were checked; all pass but those that hold REFUSED or UNCHECKED."""
    seen: list[Path] = []

    def run(candidate: Path, *_: object, **__: object) -> gate.Report:
        seen.append(candidate)
        content = (candidate / "saved_model.pb").read_bytes()
        verdicts: dict[bytes, gate.Verdict] = {REFUSED: "failed", UNCHECKED: "unchecked"}
        return gate.Report.of([gate.Finding("accuracy", verdicts.get(content, "passed"), "0.42 is too low")])

    monkeypatch.setattr(gate, "run", run)
    return seen


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_IDLE_TICK_S", 0.1)
    monkeypatch.setattr(trainings, "_PAUSE_S", 0.05)


@pytest.fixture
def training(model: Model, tmp_path: Path) -> Callable[..., str]:
    """Stages a training as the trainer does; returns its name."""

    def stage(content: bytes = b"graph", name: str = "") -> str:
        name = name or trainings.new_name()
        source = make_version(tmp_path / "finished" / name, content, files=10)
        publish.stage_training(source, model.base_path, model.quarantine, name)
        return name

    return stage


@pytest.fixture
def watching(model: Model) -> Iterator[Callable[[], Watcher]]:
    """Starts a watcher in a thread."""
    with contextlib.ExitStack() as stack:

        def start() -> Watcher:
            assert model.client is not None
            watcher = Watcher(model.settings, model.client)
            thread = threading.Thread(target=watcher.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(watcher.stop)
            until(lambda: trainings.has_watcher(model.base_path), "for the watcher")
            return watcher

        yield start


def events(model: Model, name: str) -> list[tuple[str, int | None]]:
    entries = [entry for entry in model.ledger.entries() if entry.training == name]
    assert {entry.origin for entry in entries} <= {"training"}
    return [(entry.event, entry.version) for entry in entries]


def leftovers(model: Model) -> list[str]:
    """What lies in the base path beside versions and the files that always do."""
    usual = {".release.lock", ".publish.lock", ".highest_version", ".drop-watcher.lock"}
    return [path.name for path in model.base_path.iterdir() if path.name.startswith(".") and path.name not in usual]


LIVE = [("checked", None), ("publishing", 1), ("published", 1), ("available", 1)]


def test_the_folder_that_was_checked_is_the_one_that_goes_live(
    model: Model, training: Callable[..., str], gated: list[Path]
) -> None:
    name = training()
    folder = trainings.folder_of(model.base_path, name)
    inode, content = folder.stat().st_ino, digest(folder)
    assert version_folders(model.base_path) == {}
    assert trainings.staged(model.base_path) == [name]
    trainings.deliver(model, name)
    live = model.base_path / "1"
    assert (live.stat().st_ino, digest(live)) == (inode, content)
    assert gated == [folder]
    assert events(model, name) == LIVE
    assert leftovers(model) == []


def test_no_sweep_takes_a_staged_training(model: Model, training: Callable[..., str]) -> None:
    name = training()
    publish.sweep(model.base_path, model.quarantine)
    assert trainings.staged(model.base_path) == [name]


def test_one_that_is_refused_is_in_quarantine_and_can_be_published_from_there(
    model: Model, training: Callable[..., str]
) -> None:
    name = training(REFUSED)
    with pytest.raises(RefusedVersion, match=r"training was refused: 0\.42 is too low; it is kept in") as caught:
        trainings.deliver(model, name)
    kept = model.quarantine / f"training-{name}"
    assert f"make publish FROM={kept}" in str(caught.value)
    assert (kept / "saved_model.pb").read_bytes() == REFUSED
    assert "0.42 is too low" in (model.quarantine / f"training-{name}.reason.txt").read_text()
    assert version_folders(model.base_path) == {} and leftovers(model) == []


def test_one_that_could_not_be_checked_is_kept_where_it_is(
    model: Model, training: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = training(UNCHECKED)
    with pytest.raises(UncheckedVersion, match=r"could not be checked: .*nothing was published; try again") as caught:
        trainings.release_now(model, name)
    assert caught.value.exit_status == 4
    assert trainings.staged(model.base_path) == [name] and model.folders() == {}
    assert f"make publish FROM={trainings.folder_of(model.base_path, name)}" in capsys.readouterr().err
    assert events(model, name) == [("unchecked", None)]


def test_one_that_does_not_load_is_taken_back_as_any_version(model: Model, training: Callable[..., str]) -> None:
    name = training(BROKEN)
    with pytest.raises(RefusedVersion, match="version 1 was taken back"):
        trainings.deliver(model, name)
    assert (model.quarantine / "1" / "saved_model.pb").read_bytes() == BROKEN
    assert events(model, name)[-1] == ("failed", 1)


def test_a_canary_is_said_and_the_training_kept(
    model: Model, training: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(model.base_path / "1")
    name = training()
    before = model.config.read_text()
    labels.pin(model, Pins((1,)))
    with pytest.raises(UsageError, match="a canary of ResnetModel is under way"), trainings.kept(model, name):
        trainings.deliver(model, name)
    assert "the training is kept in" in capsys.readouterr().err
    labels.pin(model, None)
    assert model.config.read_text() == before
    trainings.deliver(model, name)
    assert model.live() == 2


def test_without_a_server_it_is_published_and_nobody_is_asked(
    model: Model, training: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = training()
    trainings.deliver(dataclasses.replace(model, client=None), name)
    assert "no server was asked" in capsys.readouterr().out
    assert events(model, name) == LIVE[:3]


# With a watcher.


def test_the_watcher_takes_up_what_nobody_claims_in_the_order_in_which_it_came(
    model: Model, training: Callable[..., str], watching: Callable[[], Watcher]
) -> None:
    names = [training(content, name) for content, name in ((b"one", "b"), (b"two", "c"), (b"three", "a"))]
    watching()
    until(lambda: ("available", 3) in events(model, names[-1]), "for all three")
    assert [(model.base_path / str(n) / "saved_model.pb").read_bytes() for n in (1, 2, 3)] == [b"one", b"two", b"three"]
    assert [events(model, name)[-1] for name in names] == [("available", 1), ("available", 2), ("available", 3)]


def test_the_trainer_leaves_it_to_the_watcher_and_says_what_became_of_it(
    model: Model, training: Callable[..., str], watching: Callable[[], Watcher], capsys: pytest.CaptureFixture[str]
) -> None:
    watching()
    unseeing = dataclasses.replace(model, client=None)  # As in a container without a network.
    name = training()
    trainings.deliver(unseeing, name)
    assert f"{MODEL} version 1 is AVAILABLE" in capsys.readouterr().out
    assert events(model, name) == LIVE
    with pytest.raises(RefusedVersion, match=r"the training was refused: 0\.42 is too low; it is kept in"):
        trainings.deliver(unseeing, training(REFUSED))
    with pytest.raises(RefusedVersion, match=r"version 2 was refused: .*cannot be loaded"):
        trainings.deliver(unseeing, training(BROKEN))
    with pytest.raises(UncheckedVersion, match=r"try 1 of 3: it could not be checked: .* the next one is at"):
        trainings.deliver(unseeing, training(UNCHECKED))


def test_one_that_is_claimed_is_left_to_its_claimer(
    model: Model, training: Callable[..., str], watching: Callable[[], Watcher]
) -> None:
    model.base_path.mkdir(parents=True)
    with trainings.to_itself(model.base_path, "mine"):
        watching()
        training(b"mine", "mine")
        other = training(b"other")
        until(lambda: ("available", 1) in events(model, other), "for the other one")
        assert trainings.staged(model.base_path) == ["mine"]
        assert trainings.release(model, "mine").number == 2
    assert leftovers(model) == []


def test_a_second_watcher_leaves_everything_to_the_first(
    model: Model, watching: Callable[[], Watcher], caplog: pytest.LogCaptureFixture
) -> None:
    watching()
    assert model.client is not None
    second = Watcher(model.settings, model.client)
    for _ in range(2):
        second.look()
    assert "another drop watcher looks after ResnetModel" in caplog.text


def test_a_watcher_waits_with_trainings_for_the_end_of_a_canary(
    model: Model, training: Callable[..., str], watching: Callable[[], Watcher]
) -> None:
    make_version(model.base_path / "1")
    labels.pin(model, Pins((1,)))
    name = training()
    assert model.client is not None
    watcher = Watcher(model.settings, model.client)
    for _ in range(3):
        watcher.look()
    assert trainings.staged(model.base_path) == [name]
    assert events(model, name) == []
    labels.pin(model, None)
    watcher.look()
    assert model.live() == 2


def test_when_the_watcher_dies_the_trainer_does_it_itself(model: Model, training: Callable[..., str]) -> None:
    model.base_path.mkdir(parents=True)
    with killed_after(python(MARK, model.base_path)) as watcher:
        assert watcher.stdout is not None and watcher.stdout.readline() == "True\n"
        name = training()
        done = threading.Thread(target=trainings.deliver, args=(model, name))
        done.start()
        done.join(0.3)
        assert done.is_alive() and model.folders() == {}
        os.kill(watcher.pid, signal.SIGKILL)
        done.join(20)
    assert not done.is_alive()
    assert events(model, name) == LIVE


def test_a_watcher_that_cannot_write_a_base_path_has_no_mark_there(model: Model) -> None:
    model.base_path.mkdir(parents=True)
    mark = trainings.Mark(model.base_path)
    assert mark.renew() and trainings.has_watcher(model.base_path)
    model.base_path.rename(model.base_path.with_name("gone"))
    assert mark.renew() and trainings.has_watcher(model.base_path)  # In the folder that was made anew.
    mark.give_up()
    assert not trainings.has_watcher(model.base_path)


def test_a_claim_that_nobody_holds_any_more_is_swept(model: Model, training: Callable[..., str]) -> None:
    model.base_path.mkdir(parents=True)
    (model.base_path / ".releasing-killed").touch()
    with trainings.to_itself(model.base_path, "at work"):
        publish.sweep(model.base_path, model.quarantine)
        assert leftovers(model) == [".releasing-at work"]
    assert leftovers(model) == []


def test_somebody_took_it_away(model: Model) -> None:
    model.base_path.mkdir(parents=True)
    with pytest.raises(BundleError, match=r"somebody took the training .* away"):
        trainings.deliver(model, "never-was")


# Killed.


def deliver(root: Path, server: StandIn, name: str, check_s: float) -> subprocess.Popen[str]:
    return python(DELIVER, root, server.port, check_s, name)


def test_kills_at_random_moments_lose_no_training_and_publish_none_twice(
    root: Path, server: StandIn, model: Model, training: Callable[..., str]
) -> None:
    chance = random.Random(5)
    contents = [f"training {n}".encode() for n in range(6)]
    for content in contents:
        name = training(content)
        with killed_after(deliver(root, server, name, 0.1)) as trainer:
            time.sleep(chance.uniform(0.6, 1.6))
            os.kill(trainer.pid, signal.SIGKILL)
        published = [(folder / "saved_model.pb").read_bytes() for folder in version_folders(model.base_path).values()]
        waiting = [trainings.folder_of(model.base_path, each) for each in trainings.staged(model.base_path)]
        kept = [*published, *((folder / "saved_model.pb").read_bytes() for folder in waiting)]
        assert sorted(kept) == sorted(contents[: contents.index(content) + 1])
    with killed_after(python(WATCH, root, server.port, 0)):
        until(lambda: trainings.staged(model.base_path) == [], "for the watcher to take up all of them")
    live = [(folder / "saved_model.pb").read_bytes() for folder in version_folders(model.base_path).values()]
    assert sorted(live) == contents


def test_two_trainers_at_once_are_both_released(
    root: Path, server: StandIn, model: Model, training: Callable[..., str]
) -> None:
    names = [training(b"one"), training(b"two")]
    started = [deliver(root, server, name, 0.2) for name in names]
    outputs = [finish(process, 30) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert sorted(version_folders(model.base_path)) == [1, 2]
    assert {events(model, name)[-1][0] for name in names} == {"available"}


def test_the_same_training_is_published_once_by_two(
    root: Path, server: StandIn, model: Model, training: Callable[..., str]
) -> None:
    name = training()
    with killed_after(python(WATCH, root, server.port, 0.1)):
        started = [deliver(root, server, name, 0.1) for _ in range(2)]
        outputs = [finish(process, 30) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    assert list(version_folders(model.base_path)) == [1]
    assert events(model, name).count(("published", 1)) == 1


def test_it_can_be_published_by_hand_with_the_flags_of_a_publish(
    model: Model, training: Callable[..., str], gated: list[Path]
) -> None:
    name = training()
    folder = trainings.folder_of(model.base_path, name)
    assert trainings.release_now(model, name, Order(folder, str(folder), allow_unmeasured=True)).number == 1
    assert events(model, name)[-1] == (ledger.AVAILABLE, 1)
    assert not folder.exists()
