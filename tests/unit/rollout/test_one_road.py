"""There is one way to live: no other code gives a version its number, and every version that is served has a line."""

from __future__ import annotations

import ast
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle import publish
from bundle.versions import version_folders
from rollout import canary, gate, ledger, operate, reconcile, release, restore, rollback, stack, trainings
from rollout import model as models
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.engines.base import Engine
from rollout.model import Model
from rollout.release import Order
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, PROJECT, make_version
from tests.unit.rollout.stand_in import StandIn

PACKAGES = ("bundle", "trainer", "serving", "rollout")
NUMBERING = {
    # What makes a folder appear under a number, and who may call it.
    "go_live": {"rollout/release.py", "rollout/canary.py"},  # The second calls that of the first.
    "go_live_below": {"rollout/canary.py"},
    "_put_back": {"rollout/rollback.py"},
}
BEFORE_IT_IS_SERVED = [ledger.PUBLISHING, ledger.PUBLISHED]


def calls(name: str) -> Iterator[str]:
    """The modules that mention a function of `bundle.publish` or of their own."""
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                mentioned = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
                imported = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
                if name == mentioned or name in imported:
                    yield path.relative_to(PROJECT).as_posix()


@pytest.mark.parametrize("name", NUMBERING)
def test_only_a_release_gives_a_version_its_number(name: str) -> None:
    outside = {path for path in calls(name) if path != "bundle/publish.py"}
    assert outside == NUMBERING[name]


def test_nothing_but_those_moves_a_folder_into_a_base_path() -> None:
    """The other ways to rename or copy a folder, each with the reason why it leads to no number."""
    reasons = {
        "bundle/files.py": "replaces files; copies into a staged folder",
        "bundle/publish.py": "the functions above, and names that begin with a dot",
        "rollout/drop.py": "claims in the drop folder, and quarantine",
        "rollout/rollback.py": "puts back what it took out a moment ago",
        "rollout/trainings.py": "moves a refused training to quarantine",
        "trainer/train.py": "moves a finished training inside its run",
        "rollout/engines/": "its own state",
        "rollout/processes.py": "the record of a process",
        "rollout/prove/": "its own copy of the bundle",
        "rollout/image.py": "a build context",
    }
    found = {path for name in ("rename", "copytree", "move") for path in calls(name)}
    assert [path for path in found if not path.startswith(tuple(reasons))] == []


def test_the_trainer_can_only_stage() -> None:
    said = {path for path in calls("stage_training") if not path.startswith("bundle/")}
    assert said == {"trainer/train.py"}
    for name in ("go_live", "go_live_below", "withdraw", "retire", "move"):
        assert [path for path in calls(name) if path.startswith("trainer/")] == []


# Every command that can make a version live.


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents that the gate was shown; all pass."""
    seen: list[bytes] = []

    def run(candidate: Path, *_: object, **__: object) -> gate.Report:
        seen.append((candidate / "saved_model.pb").read_bytes())
        return gate.Report.of([])

    monkeypatch.setattr(gate, "run", run)
    return seen


class Trained(Engine):
    """An engine whose trainer is quick: it stages as the trainer does."""

    def train(self, arguments: object) -> int:
        named = dict(zip(list(arguments)[::2], list(arguments)[1::2], strict=True))  # type: ignore[call-overload]
        source = make_version(self.settings.runs_dir / "finished", b"candidate")
        base_path = Path(named["--models-dir"]) / MODEL
        publish.stage_training(source, base_path, self.settings.quarantine_dir / MODEL, named["--staged-as"])
        return 0

    def is_running(self) -> bool:
        return False

    def preflight(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def check_alive(self) -> None: ...

    def logs(self, follow: bool) -> None: ...


def by_publish(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    release.release(model, Order(source, "a test"))


def by_train(model: Model, _: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Trained(model.settings, "quick")
    monkeypatch.setattr(stack, "running", lambda _: engine)
    monkeypatch.setattr(models, "find", lambda _: model)
    assert operate.train(model.settings, []) == 0


def by_the_trainer_alone(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    publish.stage_training(source, model.base_path, model.quarantine, "mine")
    trainings.deliver(model, "mine")


def by_the_watcher(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    publish.stage_training(source, model.base_path, model.quarantine, "mine")
    assert model.client is not None
    Watcher(model.settings, model.client).look()


def by_drop(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    box = Dropbox(model)
    box.recover()
    box.accept(Path(shutil.copytree(source, box.folder / "mine")))


def by_restore(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    shutil.copytree(source, model.quarantine / "7")
    restore.restore(model, 7, Order(source, "a test"))


def by_canary(model: Model, source: Path, _: pytest.MonkeyPatch) -> None:
    make_version(model.base_path / "1", b"live")
    canary.start(model, Order(source, "a test"))
    canary.promote(model, Order(source, "a test"))


WAYS: dict[str, Callable[[Model, Path, pytest.MonkeyPatch], None]] = {
    "make publish": by_publish,
    "make train": by_train,
    "trainer train": by_the_trainer_alone,
    "trainer train, with a watcher": by_the_watcher,
    "a drop": by_drop,
    "make restore": by_restore,
    "make canary and promote": by_canary,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leads_through_the_gate_and_the_ledger(
    way: str, model: Model, tmp_path: Path, checked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_version(tmp_path / "source", b"candidate")
    WAYS[way](model, source, monkeypatch)
    live = model.live()
    assert live is not None
    assert (model.base_path / str(live) / "saved_model.pb").read_bytes() == b"candidate"
    assert b"candidate" in checked
    lines = [entry.event for entry in model.ledger.entries() if entry.version == live]
    assert [event for event in lines if event in BEFORE_IT_IS_SERVED] == BEFORE_IT_IS_SERVED
    assert ledger.AVAILABLE in lines
    assert ledger.CHECKED in [entry.event for entry in model.ledger.entries()]
    assert set(version_folders(model.base_path)) <= set(reconcile.last_events(model.ledger.entries()))


# What is put there without a command.


def found(model: Model) -> list[int | None]:
    return [entry.version for entry in model.ledger.entries() if entry.event == ledger.FOUND]


def test_the_watcher_notes_what_was_copied_by_hand_without_a_release(model: Model) -> None:
    make_version(model.base_path / "3")
    assert model.client is not None
    watcher = Watcher(model.settings, model.client)
    watcher.look()
    assert found(model) == [3]
    make_version(model.base_path / ".mine").rename(model.base_path / "12")
    watcher.look()
    watcher.look()
    assert found(model) == [3, 12]
    shutil.rmtree(model.base_path / "3")
    watcher.look()
    assert [(e.event, e.version) for e in model.ledger.entries()][-1] == (ledger.RETIRED, 3)


def test_what_the_server_served_and_is_gone_again_has_its_line(model: Model, server: StandIn) -> None:
    make_version(model.base_path / "1")
    make_version(model.base_path / "9")
    entries = server._status(f"/v1/models/{MODEL}")
    shutil.rmtree(model.base_path / "9")
    server.answer = entries
    assert release.catch_up(model)
    assert sorted((e.event, e.version) for e in model.ledger.entries()) == [
        (ledger.FOUND, 1),
        (ledger.FOUND, 9),
        (ledger.RETIRED, 9),
    ]


def test_start_of_the_server_notes_every_model_first(model: Model) -> None:
    make_version(model.base_path / "1")
    make_version(model.base_path / "2")
    operate._note_what_is_there(model.settings)
    assert found(model) == [1, 2]


def test_a_release_under_way_notes_it_itself(model: Model) -> None:
    with release.turn(model):
        make_version(model.base_path / "1")
        assert not release.catch_up(model)
    assert release.catch_up(model) and found(model) == [1]


def test_one_model_that_cannot_be_noted_holds_up_no_other(
    model: Model, caplog: pytest.LogCaptureFixture, client: Client
) -> None:
    text = model.config.read_text()
    entry = text[text.index("  config {") : text.rindex("}")]
    model.config.write_text(text.replace(entry, entry + entry.replace(MODEL, "Second")))
    second = dataclasses.replace(model, name="Second", base_path=model.base_path.with_name("Second"))
    make_version(second.base_path / "4")
    model.ledger.path.parent.mkdir()
    model.ledger.path.write_text("spoiled\n")
    make_version(model.base_path / "1")
    Watcher(model.settings, client).look()
    assert "is no line of a ledger" in caplog.text
    assert found(second) == [4]


def test_a_rollback_says_which_version_answers_now(model: Model) -> None:
    for number in (1, 2):
        make_version(model.base_path / str(number))
    rollback.roll_back(model, None, "no good")
    assert (ledger.AVAILABLE, 1) in [(entry.event, entry.version) for entry in model.ledger.entries()]
