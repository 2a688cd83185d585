"""Several models under one watcher: none waits for another, and what takes the CPU comes one after the other."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bundle.settings import Settings
from rollout import gate, lane, release, watch
from rollout.gate import turn
from rollout.model import Model
from tests.unit.bundle.parts import MODEL, make_version
from tests.unit.rollout.watch.dropping import Start, numbers, with_manifest
from tests.waiting import until

OTHER = "Other"
CONFIG = """model_config_list {{
  config {{ name: "{model}" base_path: "/models/{model}" model_platform: "tensorflow" }}
  config {{ name: "{other}" base_path: "/models/{other}" model_platform: "tensorflow" }}
}}"""


@pytest.fixture
def two(settings: Settings) -> Settings:
    (settings.root / "models.config").write_text(CONFIG.format(model=MODEL, other=OTHER))
    return settings


def drop_into(settings: Settings, model: str) -> None:
    with_manifest(make_version(settings.root / "made" / model)).rename(settings.drop_dir / model / "mine")


def test_a_drop_goes_live_while_another_models_version_is_watched(
    two: Settings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def serve(model: Model, *_: object) -> None:
        if model.name == MODEL:
            assert go_on.wait(60)

    monkeypatch.setattr(release, "serve", serve)
    start(two)
    until((two.drop_dir / OTHER).is_dir, "for the drop folders")
    drop_into(two, MODEL)
    until(lambda: numbers(two.models_dir / MODEL) == [1], "for the first model's version to be published")
    drop_into(two, OTHER)
    until(lambda: not list((two.drop_dir / OTHER).glob(".*")), "for the other model's version to be live")
    until(lambda: numbers(two.models_dir / OTHER) == [1])
    go_on.set()


def test_one_version_is_examined_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def examine() -> None:
        with turn.alone(tmp_path / ".run"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=examine) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_check_that_waits_for_another_one_can_be_interrupted(
    two: Settings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = threading.Event()

    def run(*_: object, **__: object) -> gate.Report:
        began.set()
        with turn.alone(two.root / ".run"):
            return gate.Report.of([])

    monkeypatch.setattr(gate, "run", run)
    with turn.alone(two.root / ".run"):
        watcher = start(two)
        until((two.drop_dir / OTHER).is_dir, "for the drop folders")
        drop_into(two, OTHER)
        assert began.wait(60)
        watcher.stop()
        until(lambda: (two.drop_dir / OTHER / "mine").is_dir(), "for the drop to be put back")


def _silence_s(alive: Path) -> float:
    _, _, looked = alive.read_text().partition(" ")
    return time.monotonic() - float(looked) if looked.endswith("\n") else 0.0  # It is being written.


def test_a_lane_that_hangs_ends_the_signs_of_life(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LONGEST_SILENCE_S", 0.5)
    hangs, go_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        assert go_on.wait(60)

    monkeypatch.setattr(lane.Lane, "_catch_up", hang)
    watcher = watch.Watcher(settings, None, tmp_path / "alive")  # type: ignore[arg-type]
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        assert hangs.wait(60)
        until(lambda: _silence_s(tmp_path / "alive") > 2, "for the silence")
    finally:
        go_on.set()
        watcher.stop()
        thread.join()
