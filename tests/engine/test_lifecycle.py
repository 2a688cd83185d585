"""Versions come, go, fail and are mended under a running server. Each test adds a model of its own."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engine.engine import Engine, Kits
from tests.engine.models import HEAVY, HEAVY_MB

HEAVY_TIMES = 3
ALL = "model_version_policy { all {} }"


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    return shared_engine


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base path; models are named after it, so its name is that of the test."""
    return tmp_path / tmp_path.name


@contextmanager
def asked_all_the_while(ask: Callable[[], Any]) -> Iterator[list[Any]]:
    """Call `ask` again and again meanwhile; yields what it returned, in order. It must not fail."""
    answers: list[Any] = []
    problems: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                answers.append(ask())
            except BaseException as problem:  # noqa: BLE001 - shown by the thread of the test
                problems.append(problem)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(60)
    assert not problems, problems[0]


def test_a_new_version_takes_over_without_a_failed_or_mixed_answer(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    with asked_all_the_while(lambda: engine.predict(model)) as answers:
        engine.until(lambda: len(answers) > 5)
        kits.publish(base, "2", 2)
        engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})
        switched = len(answers)
        engine.until(lambda: len(answers) > switched + 5)
    assert answers == sorted(answers) and set(answers) == {1.0, 2.0}
    assert answers[switched + 1] == 2.0


def test_the_status_lists_versions_descending_with_their_states(engine: Engine, kits: Kits, base: Path) -> None:
    for number in (1, 2, 3):
        kits.publish(base, str(number), number)
    model = engine.serve(base, ALL)
    engine.until(lambda: set(engine.states(model).values()) == {"AVAILABLE"})
    assert list(engine.states(model)) == [3, 2, 1]
    assert [engine.predict(model, which=f"/versions/{number}") for number in (1, 2, 3)] == [1.0, 2.0, 3.0]


def test_a_running_request_finishes_on_its_version(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    with engine.holding(base) as held:
        kits.publish(base, "2", 2)
        engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "UNLOADING"})
        assert engine.predict(model) == 2.0 and not held.answer.done()
    assert held.outcome == "1.0"
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})


def test_removing_the_newest_version_goes_back_without_a_gap(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    kits.publish(base, "2", 2)
    model = engine.serve(base)
    assert engine.states(model) == {2: "AVAILABLE"}
    with asked_all_the_while(lambda: engine.predict(model)) as answers:
        (base / "2").rename(base / "withdrawn")
        engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
        engine.until(lambda: answers[-1:] == [1.0])
    assert answers == sorted(answers, reverse=True)


def test_a_broken_version_keeps_the_old_one_and_shows_its_error(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    (base / "2").mkdir()
    engine.until(lambda: engine.states(model).get(2) == "LOADING")
    assert engine.statuses(model)[2][1:] == ("OK", "")
    engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
    assert engine.statuses(model)[2][1:] == (
        "NOT_FOUND",
        "Specified file path does not appear to contain a SavedModel bundle (should have a file called"
        f" `saved_model.pb`)\nSpecified file path: {base}/2",
    )
    assert engine.predict(model) == 1.0
    not_served = f"Servable not found for request: Specific({model}, 2)"
    assert engine.refusal(model, "/versions/2") == (404, not_served)


def test_variables_that_are_declared_and_missing_fail_the_load(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    kits.publish_without_variables(base, "2", 2)
    engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
    assert "variables.index; No such file or directory" in engine.statuses(model)[2][2]
    assert engine.predict(model) == 1.0


def test_a_broken_version_mended_in_place_is_loaded(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    (base / "2").mkdir()
    engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
    kits.fill(base / "2", 2)
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})
    assert engine.predict(model) == 2.0


def test_a_folder_copied_slowly_is_served_when_it_is_whole(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    whole = kits.publish(base.with_name("elsewhere"), "2", 2)
    with asked_all_the_while(lambda: engine.predict(model)) as answers:
        for source in sorted(whole.rglob("*")):
            target = base / "2" / source.relative_to(whole)
            target.mkdir(parents=True, exist_ok=True) if source.is_dir() else shutil.copy(source, target)
            time.sleep(0.1)  # slower than a poll in all
        engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})
    assert set(answers) <= {1.0, 2.0}
    assert engine.predict(model) == 2.0


def test_a_broken_version_removed_and_added_again_is_loaded(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    (base / "2").mkdir()
    engine.until(lambda: engine.states(model) == {2: "END", 1: "AVAILABLE"})
    (base / "2").rmdir()
    kits.publish(base, "2", 2)
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})


def test_a_higher_good_version_passes_a_broken_one(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    (base / "2").mkdir()
    engine.until(lambda: 2 in engine.states(model))
    kits.publish(base, "3", 3)
    engine.until(lambda: engine.states(model) == {3: "AVAILABLE", 2: "END", 1: "END"})
    assert engine.predict(model) == 3.0


def test_latest_two_keeps_two(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "3", 1)
    kits.publish(base, "5", 2)
    model = engine.serve(base, "model_version_policy { latest { num_versions: 2 } }")
    engine.until(lambda: engine.states(model) == {5: "AVAILABLE", 3: "AVAILABLE"})
    kits.publish(base, "6", 3)
    engine.until(lambda: engine.states(model) == {6: "AVAILABLE", 5: "AVAILABLE", 3: "END"})


def test_specific_versions_whatever_their_names_look_like(engine: Engine, kits: Kits, base: Path) -> None:
    for name, number in (("1", 1), ("02", 2), ("3", 3)):
        kits.publish(base, name, number)
    model = engine.serve(base, "model_version_policy { specific { versions: 1 versions: 2 versions: 77 } }")
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "AVAILABLE"})
    assert f"Version 77 of servable {model}, which was requested" in engine.log


def test_the_last_version_can_go_and_come_back(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    shutil.rmtree(base / "1")
    engine.until(lambda: engine.states(model) == {1: "END"})
    assert engine.refusal(model) == (404, f"Servable not found for request: Latest({model})")
    kits.publish(base, "1", 2)
    engine.until(lambda: engine.states(model) == {1: "AVAILABLE"})
    assert engine.predict(model) == 2.0


def test_a_base_path_that_vanishes_changes_nothing(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    base.rename(base.with_name("away"))
    engine.until(lambda: f"Could not find base path {base} for servable {model}" in engine.log)
    assert engine.states(model) == {1: "AVAILABLE"} and engine.predict(model) == 1.0
    kits.publish(base, "2", 2)
    engine.until(lambda: engine.states(model) == {2: "AVAILABLE", 1: "END"})


def test_a_link_is_a_version_and_a_file_fails_as_one(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "not_a_number", 1)
    (base / "7").symlink_to("not_a_number")
    model = engine.serve(base, ALL)
    (base / "50").touch()
    engine.until(lambda: engine.states(model) == {50: "END", 7: "AVAILABLE"})
    assert engine.statuses(model)[50][1:] == (
        "FAILED_PRECONDITION",
        f"Error while attempting to reserve resources to load servable {{name: {model} version: 50}}:"
        f" {base}/50; Not a directory",
    )


def test_a_failing_model_does_not_hold_up_others(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base / "a", "1", 1)
    kits.publish(base / "b", "1", 1)
    engine.serve(base / "a", ALL)
    engine.serve(base / "b")
    for number in range(2, 8):
        (base / "a" / str(number)).mkdir()
    engine.until(lambda: "LOADING" in engine.states("a").values())
    kits.publish(base / "b", "2", 2)
    engine.until(lambda: engine.states("b") == {2: "AVAILABLE", 1: "END"})
    kits.publish(base / "a", "8", 3)
    engine.until(lambda: engine.predict("a") == 3.0)


def test_versions_leave_no_memory_behind(engine: Engine, kits: Kits, base: Path) -> None:
    kits.publish(base, "1", 1)
    model = engine.serve(base)
    engine.predict(model)
    before = engine.rss_mb
    for number in range(2, 2 + 2 * HEAVY_TIMES, 2):
        kits.publish(base, str(number), HEAVY)
        engine.until(lambda: engine.states(model).get(number) == "AVAILABLE")  # noqa: B023 - called at once
        assert engine.rss_mb > before + HEAVY_MB / 2
        kits.publish(base, str(number + 1), 1)
        engine.until(lambda: engine.states(model).get(number) == "END")  # noqa: B023
    # Were they kept, it would be HEAVY_TIMES as much.
    engine.until(lambda: engine.rss_mb < before + HEAVY_MB)
