"""Whatever goes wrong with one drop, the others go on, in the order in which they came."""

from __future__ import annotations

import errno
import os
from math import inf
from pathlib import Path

import pytest

from bundle.settings import Settings
from rollout import candidate, lane, trouble
from rollout.candidate import Finding
from rollout.drop import Dropbox
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, make_version
from tests.unit.rollout.stand_in import StandIn
from tests.unit.rollout.watch.dropping import Start, drop_whole, numbers, reason, with_manifest
from tests.waiting import until

# watchdog speaks of a watch that it set twice when a folder is renamed while it looks into it.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


TWO_MODELS = """
model_config_list {
  config { name: "ResnetModel" base_path: "/models/ResnetModel" model_platform: "tensorflow" }
  config { name: "Other" base_path: "/models/Other" model_platform: "tensorflow" }
}
"""


def fail_to_examine(monkeypatch: pytest.MonkeyPatch, error: Exception, name: str, times: float = inf) -> None:
    """Have the examination of the entry of that name raise `error`, the first `times` times."""
    left = [times]

    def examine(entry: Path) -> Finding:
        if entry.name == name and left[0] > 0:
            left[0] -= 1
            raise error
        return candidate.examine(entry)

    monkeypatch.setattr(lane, "examine", examine)


def test_a_name_that_is_no_text_is_refused_with_its_bytes_in_words(
    watcher: Watcher, drop: Path, quarantine: Path, base: Path
) -> None:
    (Path(os.fsdecode(os.fsencode(drop) + b"/mod\xe8le"))).mkdir()
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the good one")
    until(lambda: any(quarantine.glob("mod*.reason.txt")), "for the refusal")
    (note,) = quarantine.glob("mod*.reason.txt")
    assert f"{MODEL}/mod\\xe8le was dropped and refused: the folder is empty" in note.read_text()


def test_a_name_that_leaves_no_room_for_ours_is_refused_at_once(
    watcher: Watcher, drop: Path, quarantine: Path, base: Path
) -> None:
    drop_whole(drop, "g" * 200)
    (drop / ("b" * 255)).mkdir()
    until(lambda: numbers(base) == [1], "for the good one")
    until(lambda: any(quarantine.glob("bbb*.reason.txt")), "for the refusal")
    (note,) = quarantine.glob("bbb*.reason.txt")
    assert "its name has 255 bytes; expected at most 200: rename it" in note.read_text()
    assert not any(drop.glob("[gb]*"))


def test_a_fault_that_an_entry_brings_out_twice_is_its_refusal_and_the_others_go_on(
    watcher: Watcher,
    drop: Path,
    quarantine: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail_to_examine(monkeypatch, OverflowError("int too large to convert to float"), "odd")
    make_version(drop / "odd")
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the good one")
    until(lambda: (quarantine / "odd").is_dir(), "for the refusal")
    assert "a fault of the watcher: OverflowError: int too large to convert to float (" in reason(quarantine, "odd")
    assert caplog.text.count("noticed ResnetModel/odd") == 1


def test_what_the_file_system_never_allows_is_refused_at_once(
    watcher: Watcher, drop: Path, quarantine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_to_examine(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "saved_model.pb"), "mine")
    make_version(drop / "mine")
    until(lambda: (quarantine / "mine").is_dir(), "for the refusal")
    assert "Permission denied at " in reason(quarantine, "mine")
    assert "give it the rights" in reason(quarantine, "mine")
    assert caplog.text.count("noticed") == 1


def test_what_cannot_be_moved_is_left_alone_and_quarantine_says_why(
    start: Start,
    settings: Settings,
    drop: Path,
    quarantine: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deny(self: Dropbox, entry: Path) -> Path:
        if entry.name == "stuck":
            raise PermissionError(errno.EACCES, "Permission denied", str(entry))
        return claim(self, entry)

    claim = Dropbox._claim
    monkeypatch.setattr(Dropbox, "_claim", deny)
    make_version(drop / "stuck")
    for _ in range(2):  # After a restart it is not said again.
        watcher = start(settings)
        until(lambda: "it cannot be moved and is left alone" in caplog.text, "for the refusal")
        caplog.clear()
        watcher.stop()
    start(settings)
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the good one")
    (note,) = quarantine.glob("*.reason.txt")
    assert "Permission denied" in note.read_text()
    assert "it could not be moved either, and stays in" in note.read_text()
    assert (drop / "stuck").is_dir()


def test_what_may_pass_is_tried_again_and_said_once(
    watcher: Watcher, drop: Path, base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fail_to_examine(monkeypatch, OSError(errno.EIO, "Input/output error"), "good", times=2)
    monkeypatch.setattr(trouble, "_FIRST_PAUSE_S", 0.05)
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the version")
    assert caplog.text.count("Input/output error") == 1


def test_drops_go_live_in_the_order_in_which_they_came_whatever_their_names(
    drop: Path, base: Path, start: Start, settings: Settings, tmp_path: Path
) -> None:
    names = ["v9", "v10", "2", "zz", "a", "v11"]
    for number, name in enumerate(names):
        made = make_version(tmp_path / "made" / name, content=b"graph %d" % number)
        # Without a manifest they wait longer, and the others wait for them.
        (made if number % 2 else with_manifest(made)).rename(drop / name)
    start(settings)
    until(lambda: len(numbers(base)) == len(names), "for all of them")
    contents = [(base / str(number) / "saved_model.pb").read_bytes() for number in numbers(base)]
    assert contents == [b"graph %d" % number for number in range(len(names))]


def test_a_model_folder_that_is_none_holds_up_no_other(
    start: Start, settings: Settings, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    server.base_paths["Other"] = settings.models_dir / "Other"
    settings.drop_dir.mkdir(parents=True, exist_ok=True)
    (settings.drop_dir / MODEL).write_text("a file")
    (settings.root / "models.config").write_text(TWO_MODELS)
    start(settings)
    until((settings.drop_dir / "Other").is_dir, "for the other model's folder")
    drop_whole(settings.drop_dir / "Other", "good")
    until(lambda: numbers(settings.models_dir / "Other") == [1], "for the other model's version")
    assert f"nothing is taken from {settings.drop_dir / MODEL}" in caplog.text


def test_names_compare_by_their_numbers() -> None:
    names = ["v10", "v9", "10", "9", "v", "w1", "v9b"]
    assert sorted(names, key=lane._natural) == ["9", "10", "v", "v9", "v9b", "v10", "w1"]


def test_a_fault_among_the_trainings_holds_up_no_drop(
    watcher: Watcher, drop: Path, base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Path) -> list[str]:
        raise ValueError("no name for a training")

    monkeypatch.setattr("rollout.trainings.staged", fail)
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the version")
    assert caplog.text.count("no name for a training") == 1


@pytest.mark.parametrize("error", [RuntimeError("no room in the table"), OSError(errno.EIO, "Input/output error", 7)])
def test_a_refusal_that_fails_ends_nobody(
    error: Exception,
    watcher: Watcher,
    drop: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: Dropbox, entry: Path, why: str) -> None:
        raise error

    monkeypatch.setattr(Dropbox, "refuse", fail)
    fail_to_examine(monkeypatch, PermissionError(errno.EACCES, "Permission denied"), "stuck")
    make_version(drop / "stuck")
    until(lambda: "is left alone" in caplog.text or "trying again" in caplog.text, "for the refusal")
    drop_whole(drop, "good")
    until(lambda: numbers(base) == [1], "for the good one")
    assert (drop / "stuck").is_dir()
