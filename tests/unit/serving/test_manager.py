"""The life of versions, seen through the manager, with loads that tests can hold and fail."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.manager import Manager
from tests.unit.serving.fakes import FakeLoader, answering, config_of, entry, make_version, serving, states
from tests.waiting import until

NewManager = Callable[..., Manager]

ALL = "model_version_policy { all {} }"


def refusal(manager: Manager, model: str = "m", **which: object) -> str:
    with pytest.raises(ServingError) as caught:
        answering(manager, model, **which)
    return str(caught.value)


def test_the_highest_version_answers(new_manager: NewManager, base: Path) -> None:
    for name in ("1", "2", "10"):
        make_version(base, name)
    manager = serving(new_manager(), base)
    assert (answering(manager), states(manager)) == (10, [(10, "AVAILABLE")])


def test_each_loaded_version_can_be_asked_for(new_manager: NewManager, base: Path) -> None:
    for name in ("1", "2", "10"):
        make_version(base, name)
    manager = serving(new_manager(), base, ALL)
    until(lambda: states(manager) == [(10, "AVAILABLE"), (2, "AVAILABLE"), (1, "AVAILABLE")])
    assert [answering(manager, version=number) for number in (1, 2, 10)] == [1, 2, 10]


def test_what_is_not_loaded_is_refused_in_the_real_words(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    assert refusal(manager, "x") == "NOT_FOUND: Servable not found for request: Latest(x)"
    assert refusal(manager, version=7) == "NOT_FOUND: Servable not found for request: Specific(m, 7)"
    assert refusal(manager, version=0) == "NOT_FOUND: Servable not found for request: Specific(m, 0)"
    unknown = "INVALID_ARGUMENT: Unrecognized servable version label: "
    assert refusal(manager, label="l") == unknown + "l"
    assert refusal(manager, label="") == unknown
    assert refusal(manager, "x", label="l") == unknown + "l"
    assert refusal(manager, "") == "INVALID_ARGUMENT: ModelSpec has no name specified."


def test_status_of_what_never_was(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)

    def failure(model: str, version: int | None = None) -> str:
        with pytest.raises(ServingError) as caught:
            manager.status(model, version)
        return str(caught.value)

    assert failure("x") == "NOT_FOUND: Could not find any versions of model x"
    assert failure("") == "NOT_FOUND: Could not find any versions of model "
    assert failure("x", 1) == "NOT_FOUND: Could not find version 1 of model x"
    assert failure("m", 2) == "NOT_FOUND: Could not find version 2 of model m"


def test_the_new_version_is_loaded_before_the_old_one_goes(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    release = loader.hold("m/2")
    make_version(base, "2")
    manager.poll()
    until(lambda: "m/2" in loader.asked)
    assert states(manager) == [(2, "LOADING"), (1, "AVAILABLE")]
    assert answering(manager) == 1
    release()
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])
    assert answering(manager) == 2
    assert loader.made[0].closed and not loader.made[1].closed


def test_a_request_finishes_on_its_version(new_manager: NewManager, base: Path, loader: FakeLoader) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    with manager.acquire("m") as handle:
        make_version(base, "2")
        manager.poll()
        until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "UNLOADING")])
        assert answering(manager) == 2
        assert refusal(manager, version=1).startswith("NOT_FOUND")
        assert handle.version == 1 and not loader.made[0].closed
        assert manager.in_flight() == 1
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])
    assert loader.made[0].closed


def test_a_version_that_comes_back_while_it_is_unloaded_waits_for_that(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    with manager.acquire("m"):
        shutil.rmtree(base / "1")
        manager.poll()
        assert states(manager) == [(1, "UNLOADING")]
        make_version(base, "1")
        manager.poll()
        assert states(manager) == [(1, "UNLOADING")] and loader.asked == ["m/1"]
    until(lambda: states(manager) == [(1, "AVAILABLE")])
    assert [made.closed for made in loader.made] == [True, False]


def test_removing_the_newest_folder_goes_back_without_a_gap(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    make_version(base, "2")
    manager = serving(new_manager(), base)
    release = loader.hold("m/1")
    shutil.rmtree(base / "2")
    manager.poll()
    until(lambda: "m/1" in loader.asked)
    assert answering(manager) == 2
    release()
    until(lambda: states(manager) == [(2, "END"), (1, "AVAILABLE")])


def test_an_emptied_base_path_unloads_and_a_missing_one_does_not(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    away = base.rename(base.with_name("away"))
    manager.poll()
    assert answering(manager) == 1
    away.rename(base)
    shutil.rmtree(base / "1")
    manager.poll()
    until(lambda: states(manager) == [(1, "END")])
    assert refusal(manager) == "NOT_FOUND: Servable not found for request: Latest(m)"
    make_version(base, "1")
    manager.poll()
    until(lambda: states(manager) == [(1, "AVAILABLE")])


def test_latest_two_takes_the_lowest_down_first(new_manager: NewManager, base: Path, loader: FakeLoader) -> None:
    make_version(base, "3")
    make_version(base, "5")
    manager = serving(new_manager(), base, "model_version_policy { latest { num_versions: 2 } }")
    until(lambda: states(manager) == [(5, "AVAILABLE"), (3, "AVAILABLE")])
    release = loader.hold("m/6")
    make_version(base, "6")
    manager.poll()
    until(lambda: states(manager) == [(6, "LOADING"), (5, "AVAILABLE"), (3, "END")])
    release()
    until(lambda: states(manager) == [(6, "AVAILABLE"), (5, "AVAILABLE"), (3, "END")])


def test_ready_waits_for_the_first_version(new_manager: NewManager, base: Path) -> None:
    manager = new_manager()
    manager.apply(config_of(entry(base)))
    assert not manager.ready()
    make_version(base, "1")
    manager.poll()
    until(manager.ready)


def test_ready_with_no_models_at_all(new_manager: NewManager) -> None:
    manager = new_manager()
    manager.reload(config_of())
    assert manager.ready()


def test_when_nothing_can_be_served_that_is_said_in_the_real_words(
    new_manager: NewManager, base: Path, tmp_path: Path
) -> None:
    make_version(base, "1", "bad")
    other = tmp_path / "other"
    make_version(other, "7", None)
    manager = new_manager()
    manager.apply(config_of(entry(base), entry(other)))
    until(lambda: states(manager) == [(1, "END")] and states(manager, "other") == [(7, "END")])
    with pytest.raises(ServingError) as caught:
        manager.ready()
    assert str(caught.value) == (
        "UNKNOWN: 2 servable(s) did not become available: {"
        f"{{{{name: m version: 1}} due to error: DATA_LOSS: bad model in {base}/1}}, "
        f"{{{{name: other version: 7}} due to error: NOT_FOUND: no model in {other}/7}}, }}"
    )


def test_shutdown_waits_for_requests_and_counts_those_that_are_cut(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    with manager.acquire("m"):
        assert manager.shutdown(0.05) == 1
        assert not loader.made[0].closed
    assert refusal(manager).startswith("NOT_FOUND")
    assert manager.shutdown(1) == 0


def test_no_version_is_closed_under_a_request(new_manager: NewManager, base: Path, loader: FakeLoader) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    stop = threading.Event()
    wrong: list[str] = []
    highest = [1]

    def ask() -> None:
        while not stop.is_set():
            published = highest[0]
            with manager.acquire("m") as handle:
                if handle.version < published:
                    wrong.append(f"{handle.version} answered after {published} was available")
                if handle.servable.closed:  # type: ignore[attr-defined]
                    wrong.append(f"{handle.version} was closed")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 12):
        make_version(base, str(number))
        shutil.rmtree(base / str(number - 1))
        manager.poll()
        until(lambda number=number: (number, "AVAILABLE") in states(manager))  # type: ignore[misc]
        highest[0] = number
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    until(lambda: sum(not made.closed for made in loader.made) == 1)
