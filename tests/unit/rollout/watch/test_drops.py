"""What is dropped is waited for, checked once, and goes live or to quarantine."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from bundle import manifest
from bundle.settings import Settings
from rollout import gate, lane, ledger, watch
from rollout.client import Client
from rollout.lane import Lane
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, digest, make_version
from tests.unit.bundle.test_manifest import SAMPLE
from tests.unit.rollout.stand_in import BROKEN, StandIn
from tests.unit.rollout.watch.dropping import REFUSED, Start, entries, numbers, reason
from tests.waiting import until

# watchdog speaks of a watch that it set twice when a folder is renamed while it looks into it.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")


def test_a_dropped_folder_goes_live_and_leaves_the_drop_folder(
    watcher: Watcher, drop: Path, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_version(tmp_path / "mine")
    shutil.copytree(source, drop / "mine")
    until(lambda: "is live as version 1" in caplog.text, "for version 1")
    assert digest(base / "1") == digest(source)
    assert entries(drop) == []


def test_the_next_is_compared_with_the_one_that_answers(
    watcher: Watcher, drop: Path, base: Path, checked: list[tuple[Path, Path | None]]
) -> None:
    make_version(base / "4")
    make_version(base / "5", BROKEN)  # Not live, though it is the highest.
    make_version(drop / "mine")
    until(lambda: numbers(base) == [4, 5, 6], "for version 6")
    assert [live for _, live in checked] == [base / "4"]


class Clock:
    """Stands in for the module `time` of the watcher: time passes when a test says so and the watcher has looked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        self._looks: list[float] = []
        look = Lane.look

        def noted(watched: Lane) -> None:
            self._looks.append(self._now)
            look(watched)

        monkeypatch.setattr(Lane, "look", noted)
        monkeypatch.setattr(lane, "time", self)

    def monotonic(self) -> float:
        return self._now

    def passes(self, seconds: float) -> None:
        self._watcher_looks()
        self._now += seconds
        self._watcher_looks()

    def _watcher_looks(self) -> None:
        before = len(self._looks)
        # The second to begin from now on finds what was there before, and the first has ended by then.
        until(lambda: len(self._looks) >= before + 2, "for the watcher to look")


def test_a_slow_copy_is_waited_for_and_checked_once(
    start: Start,
    settings: Settings,
    drop: Path,
    base: Path,
    tmp_path: Path,
    checked: list[tuple[Path, Path | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    start(dataclasses.replace(settings, drop_quiet_seconds=1000.0, drop_incomplete_seconds=2000.0))
    source = make_version(tmp_path / "mine", files=3)
    (drop / "mine").mkdir()
    for path in sorted(source.rglob("*"), key=lambda path: path.name != "saved_model.pb"):
        if path.is_file():
            clock.passes(999.0)  # Every file but the last finds the folder not yet quiet.
            assert (numbers(base), checked) == ([], [])
            (drop / "mine" / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, drop / "mine" / path.relative_to(source))
    clock.passes(1001.0)
    until(lambda: numbers(base) == [1], "for version 1")
    assert digest(base / "1") == digest(source)
    assert len(checked) == 1


def test_one_that_its_manifest_proves_whole_does_not_wait(
    start: Start, settings: Settings, drop: Path, base: Path, tmp_path: Path
) -> None:
    start(dataclasses.replace(settings, drop_quiet_seconds=3000.0))
    source = make_version(tmp_path / "mine")
    manifest.write(source, SAMPLE)
    shutil.copytree(source, drop / "mine")
    until(lambda: numbers(base) == [1], "for version 1")


def test_what_stays_incomplete_ends_in_quarantine_with_its_reason(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path, checked: list[tuple[Path, Path | None]]
) -> None:
    make_version(base / "1")
    (drop / "empty").mkdir()
    (drop / "note.txt").write_text("not a model")
    half = make_version(drop / "half")
    (half / "variables" / "variables.index").unlink()
    until(lambda: entries(drop) == [], "for the drop folder to be empty")
    assert "the folder is empty" in reason(quarantine, "empty")
    assert "it is a file" in reason(quarantine, "note.txt")
    assert "variables/variables.index is missing" in reason(quarantine, "half")
    assert (quarantine / "half" / "saved_model.pb").is_file()
    assert (quarantine / "note.txt").read_text() == "not a model"
    assert numbers(base) == [1]
    assert checked == []


def test_one_that_fails_its_check_ends_in_quarantine(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path
) -> None:
    make_version(base / "1")
    make_version(drop / "odd", REFUSED)
    until(lambda: (quarantine / "odd").is_dir(), "for the refusal")
    assert reason(quarantine, "odd") == f"{MODEL}/odd was dropped and refused: it gives other answers\n"
    assert numbers(base) == [1]
    assert entries(drop) == []


def test_a_refused_number_is_not_taken_for_a_version_that_was_live(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path
) -> None:
    make_version(drop / "97", REFUSED)
    until(lambda: (quarantine / "drop-97").is_dir(), "for the refusal")
    make_version(drop / "good")
    until(lambda: numbers(base) == [1], "for version 1")


def test_one_that_the_server_cannot_load_is_taken_back(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path, client: Client
) -> None:
    make_version(base / "1")
    make_version(drop / "bad", BROKEN)
    until(lambda: (quarantine / "2").is_dir(), "for the withdrawal")
    assert "FAILED_PRECONDITION: it cannot be loaded" in reason(quarantine, "2")
    assert client.available(MODEL) == [1]
    make_version(drop / "good")
    until(lambda: numbers(base) == [1, 3], "for the next good one")


def test_dotted_names_and_strays_are_left_alone(
    watcher: Watcher, drop: Path, base: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    make_version(drop / ".copying")
    make_version(settings.drop_dir / "NoSuchModel" / "mine")
    make_version(drop / "good")
    until(lambda: entries(drop) == [".copying"], "for the good one to be taken")
    assert numbers(base) == [1]
    assert "models.config lists no model NoSuchModel" in caplog.text
    assert (settings.drop_dir / "NoSuchModel" / "mine" / "saved_model.pb").is_file()


WAYS = {
    "cp": "cp -r $0 $1/mine",
    "a number for a name": "cp -r $0 $1/0042",
    "hard links": "cp -rl $0 $1/mine",
    "nested": "mkdir -p $1/mine/deeper && cp -r $0 $1/mine/deeper/1",
    "tar": "tar -C $0 -c . | (mkdir $1/mine && tar -C $1/mine -x)",
    "a big file first, slowly": "mkdir $1/mine && cp -r $0/variables $1/mine && sleep 0.3 && cp -r $0/* $1/mine",
    "rsync": "rsync -r $0/ $1/mine",
}


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_copied_it_is_served_and_the_source_is_left_alone(
    way: str, watcher: Watcher, drop: Path, base: Path, tmp_path: Path
) -> None:
    if way == "rsync" and not shutil.which("rsync"):
        pytest.skip("needs rsync(1)")
    source = make_version(tmp_path / "source")
    before = digest(source)
    subprocess.run(["sh", "-c", WAYS[way], str(source), str(drop)], check=True)
    until(lambda: numbers(base) == [1] and entries(drop) == [], "for version 1")
    assert digest(base / "1") == digest(source) == before


def test_a_finished_copy_may_be_renamed_into_sight(watcher: Watcher, drop: Path, base: Path) -> None:
    make_version(drop / ".copying").rename(drop / "mine")
    until(lambda: numbers(base) == [1], "for version 1")


def test_a_model_that_models_config_gains_is_looked_after(
    watcher: Watcher, settings: Settings, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings.root / "models.config"
    good = config.read_text()
    config.write_text("model_config_list {")
    until(lambda: "until that is mended" in caplog.text, "for the complaint")
    config.write_text(good.replace("ResnetModel", "Second"))
    server.base_paths["Second"] = settings.models_dir / "Second"
    until((settings.drop_dir / "Second").is_dir, "for its drop folder")
    make_version(settings.drop_dir / "Second" / "mine")
    until(lambda: numbers(settings.models_dir / "Second") == [1], "for version 1")


def test_a_linked_folder_is_published_and_stays_where_it_is(
    watcher: Watcher, drop: Path, base: Path, tmp_path: Path
) -> None:
    source = make_version(tmp_path / "mine")
    (drop / "mine").symlink_to(source)
    until(lambda: numbers(base) == [1] and entries(drop) == [], "for version 1")
    assert digest(source) == digest(base / "1")


def test_one_that_vanishes_is_forgotten(watcher: Watcher, drop: Path, base: Path) -> None:
    for n in range(5):  # At several moments of its life.
        make_version(drop / "fleeting", files=20)
        time.sleep(0.1 * n)
        shutil.rmtree(drop / "fleeting", ignore_errors=True)
    make_version(drop / "good")
    until(lambda: numbers(base) != [], "for the good one")


def test_the_watcher_outlives_a_missing_drop_folder(
    watcher: Watcher, settings: Settings, drop: Path, base: Path
) -> None:
    make_version(drop / "first")
    until(lambda: numbers(base) == [1] and not entries(drop), "for version 1")
    settings.drop_dir.rename(settings.root / "gone")  # At once: the watcher makes what it misses.
    until(drop.is_dir, "for the folder to be made again")
    make_version(drop / "mine")
    until(lambda: numbers(base) == [1, 2], "for version 2")


def test_a_drop_folder_of_one_model_is_made_again(watcher: Watcher, drop: Path) -> None:
    make_version(drop / "odd", REFUSED)
    until(lambda: entries(drop) == [], "for the refusal")
    drop.rmdir()
    until(drop.is_dir, "for the folder to be made again")


def test_a_quarantine_that_cannot_be_used_holds_up_nothing_else(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quarantine.parent.mkdir()
    quarantine.write_text("in the way")
    make_version(drop / "a bad one", REFUSED)
    until(lambda: "File exists" in caplog.text, "for the complaint")
    make_version(drop / "good")
    until(lambda: numbers(base) == [1], "for version 1")
    quarantine.unlink()
    until(lambda: (quarantine / "a bad one").is_dir(), "for the refusal once it can be done")


def test_a_candidate_that_cannot_be_copied_ends_in_quarantine(
    watcher: Watcher, drop: Path, base: Path, quarantine: Path
) -> None:
    make_version(drop / "odd")
    (drop / "odd" / "dangling").symlink_to("nowhere")
    until(lambda: (quarantine / "odd").is_dir(), "for the refusal")
    assert "Nothing was published" in reason(quarantine, "odd")
    assert numbers(base) == []


def test_a_foreign_manifest_is_refused(watcher: Watcher, drop: Path, quarantine: Path) -> None:
    folder = make_version(drop / "odd")
    manifest.manifest_path(folder).parent.mkdir()
    manifest.manifest_path(folder).write_text('"a text"')
    until(lambda: (quarantine / "odd").is_dir(), "for the refusal")
    assert "is not a manifest of format 1" in reason(quarantine, "odd")


def test_without_notifications_it_polls(
    start: Start,
    settings: Settings,
    drop: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class NoObserver:
        def schedule(self, *_: object, **__: object) -> None:
            pass

        def start(self) -> None:
            raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr(watch, "Observer", NoObserver)
    start(settings)
    until(lambda: "polling" in caplog.text, "for the warning")
    make_version(drop / "mine")
    until(lambda: numbers(base) == [1], "for version 1")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_a_dropped_archive_goes_live_as_its_folder_would(
    watcher: Watcher, drop: Path, base: Path, tmp_path: Path, kind: str
) -> None:
    make_version(tmp_path / "made" / "mymodel")
    packed = Path(shutil.make_archive(str(tmp_path / "mymodel"), kind, tmp_path / "made"))
    packed.rename(drop / packed.name)
    until(lambda: numbers(base) == [1], "for it to be published")
    until(lambda: not list(drop.iterdir()), "for the drop folder to be empty")
    assert (base / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"nothing", "cannot be unpacked"), (None, "holds no saved_model.pb"), (REFUSED, "it gives other answers")],
)
def test_an_archive_that_is_refused_goes_to_quarantine_as_it_came(
    watcher: Watcher, drop: Path, quarantine: Path, tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content == b"nothing":
        (tmp_path / "odd.zip").write_bytes(content)
    else:
        make_version(tmp_path / "made" / "odd", content or b"graph")
        if content is None:
            (tmp_path / "made" / "odd" / "saved_model.pb").unlink()
        shutil.make_archive(str(tmp_path / "odd"), "zip", tmp_path / "made")
    before = (tmp_path / "odd.zip").read_bytes()
    (tmp_path / "odd.zip").rename(drop / "odd.zip")
    until((quarantine / "odd.zip").exists, "for the refusal")  # Its reason is written first.
    assert why in reason(quarantine, "odd.zip")
    assert (quarantine / "odd.zip").read_bytes() == before
    until(lambda: not list(drop.iterdir()), "for the drop folder to be empty")


def test_a_drop_that_was_put_off_does_not_go_live_after_a_later_one(
    start: Start, settings: Settings, drop: Path, base: Path, quarantine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = gate.run

    def run(candidate: Path, *more: object, **named: object) -> gate.Report:
        if (candidate / "saved_model.pb").read_bytes() == b"slow" and not numbers(base):
            return gate.Report.of([gate.Finding("answers", "unchecked", "no time")])
        return passes(candidate, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "run", run)
    start(dataclasses.replace(settings, check_retry_seconds=1))
    make_version(drop / "old", b"slow")
    until(lambda: list(drop.glob(".waits-*")), "for the first try")
    make_version(drop / "new")
    until((quarantine / "old").exists, "for the refusal")
    assert "a drop that came after it is live already" in reason(quarantine, "old")
    assert numbers(base) == [1]
    assert (base / "1" / "saved_model.pb").read_bytes() == b"graph"
    until(lambda: not list(drop.glob("*")) and not list(drop.glob(".turn-*")), "for the drop folder to be empty")


def test_the_last_of_thirty_that_came_is_live_whatever_their_names(
    start: Start, settings: Settings, drop: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    names = [f"v{number}" for number in range(30)]
    chance.shuffle(names)
    clock, came = 2e9, []
    monkeypatch.setattr(lane, "arrived", lambda _: 0)  # As if the clock had stood still, or gone back.
    start(dataclasses.replace(settings, keep_versions=50))
    for name in names:
        make_version(drop.parent / ".made", name.encode()).rename(drop / name)
        came.append(name)
        until(lambda: entries(drop).count(f".checking-{came[-1]}") or came[-1] not in entries(drop), f"for {name}")
        clock -= 3600
    until(lambda: len(numbers(base)) == 30, "for all of them")
    assert [(base / str(n) / "saved_model.pb").read_bytes().decode() for n in numbers(base)] == came


def test_a_name_of_bytes_that_are_no_text_goes_live_and_is_in_the_ledger(
    watcher: Watcher, drop: Path, base: Path, settings: Settings
) -> None:
    name = os.fsdecode(b"latin-1 \xe9")
    make_version(drop.parent / ".made").rename(drop / name)
    until(lambda: numbers(base) == [1], "for it to be published")
    until(lambda: not list(drop.iterdir()), "for the drop folder to be empty")
    assert ledger.of(settings, MODEL).entries()[-1].origin == f"drop/{MODEL}/{name}"
