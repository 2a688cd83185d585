"""Versions that cannot be loaded, and base paths that cannot be read: what goes on, and what is said."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import Code
from serving.manager import Manager
from serving.version import VersionStatus
from tests.unit.serving.fakes import FakeLoader, answering, config_of, entry, make_version, serving, states
from tests.waiting import until

NewManager = Callable[..., Manager]

ALL = "model_version_policy { all {} }"


def test_a_failed_version_leaves_the_old_one_and_its_error(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    make_version(base, "2", "bad")
    manager.poll()
    until(lambda: states(manager) == [(2, "END"), (1, "AVAILABLE")])
    assert manager.status("m", 2) == [
        VersionStatus(2, manager.status("m", 2)[0].state, Code.DATA_LOSS, f"bad model in {base / '2'}")
    ]
    assert answering(manager) == 1
    make_version(base, "3")
    manager.poll()
    until(lambda: states(manager) == [(3, "AVAILABLE"), (2, "END"), (1, "END")])


def test_at_start_the_next_lower_good_version_is_served(new_manager: NewManager, base: Path) -> None:
    for name, content in (("1", "good"), ("2", "good"), ("3", "bad"), ("4", None)):
        make_version(base, name, content)
    manager = new_manager(max_num_load_retries=3)
    manager.apply(config_of(entry(base)))
    until(manager.ready)
    assert answering(manager) == 2
    assert states(manager) == [(4, "LOADING"), (3, "LOADING"), (2, "AVAILABLE")]


def test_retries_and_their_end(new_manager: NewManager, base: Path, loader: FakeLoader) -> None:
    make_version(base, "1", "bad")
    manager = new_manager(max_num_load_retries=2, load_retry_interval_micros=1000)
    manager.apply(config_of(entry(base)))
    until(lambda: states(manager) == [(1, "END")])
    assert loader.asked == ["m/1"] * 3


def test_a_pause_between_attempts_blocks_nobody(new_manager: NewManager, base: Path, tmp_path: Path) -> None:
    for number in range(1, 6):
        make_version(base, str(number), "bad")
    other = tmp_path / "other"
    make_version(other, "1")
    manager = new_manager(max_num_load_retries=5, num_load_threads=1)
    manager.apply(config_of(entry(base, ALL), entry(other)))
    until(lambda: states(manager, "other") == [(1, "AVAILABLE")])
    make_version(base, "6")
    manager.poll()
    until(lambda: (6, "AVAILABLE") in states(manager))


@pytest.mark.parametrize("retries", [0, 5])
def test_a_version_mended_in_place_is_loaded(
    new_manager: NewManager, base: Path, loader: FakeLoader, retries: int
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(max_num_load_retries=retries), base)
    make_version(base, "2", "bad")
    manager.poll()
    until(lambda: "m/2" in loader.asked)
    until(lambda: manager.status("m", 2)[0].state.name == ("LOADING" if retries else "END"))
    for _ in range(3):
        manager.poll()
    assert loader.asked.count("m/2") == 1, "it was tried again though nothing had changed"
    (base / "2" / "model").write_text("good")
    manager.poll()
    assert loader.asked.count("m/2") == 1, "it was tried while it may still have been changing"
    manager.poll()
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])


def test_a_failed_version_that_is_removed_and_added_again_is_loaded(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    make_version(base, "2", "bad")
    manager.poll()
    until(lambda: states(manager) == [(2, "END"), (1, "AVAILABLE")])
    shutil.rmtree(base / "2")
    manager.poll()
    assert manager.status("m", 2)[0].code is Code.DATA_LOSS
    make_version(base, "2")
    manager.poll()
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])


def test_a_version_that_is_not_wanted_any_more_is_given_up_and_tried_anew_when_it_is(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(max_num_load_retries=5), base)
    make_version(base, "2", "bad")
    manager.poll()
    until(lambda: (2, "LOADING") in states(manager))
    until(lambda: loader.asked.count("m/2") == 1)
    manager.reload(config_of(entry(base, "model_version_policy { specific { versions: 1 } }")))
    until(lambda: states(manager) == [(2, "END"), (1, "AVAILABLE")])
    until(lambda: manager.status("m", 2)[0].message == f"bad model in {base / '2'}")
    manager.reload(config_of(entry(base)))
    until(lambda: loader.asked.count("m/2") == 2)


def test_a_version_withdrawn_during_its_load_is_never_shown(
    new_manager: NewManager, base: Path, loader: FakeLoader
) -> None:
    make_version(base, "1")
    manager = serving(new_manager(), base)
    release = loader.hold("m/2")
    folder = make_version(base, "2")
    manager.poll()
    until(lambda: "m/2" in loader.asked)
    folder.rename(base / "quarantined-2")
    manager.poll()
    make_version(base, ".2", "good")  # what the held load reads is still there, under another name
    (base / ".2").rename(base / "x")
    shutil.copytree(base / "x", base / "2")
    seen: set[int] = set()
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            seen.add(answering(manager))

    watcher = threading.Thread(target=watch)
    watcher.start()
    release()
    until(lambda: states(manager) == [(2, "END"), (1, "AVAILABLE")])
    watching.set()
    watcher.join()
    assert seen == {1}


def test_a_missing_base_path_does_not_stop_the_others(new_manager: NewManager, base: Path, tmp_path: Path) -> None:
    make_version(base, "1")
    late = tmp_path / "late"
    manager = new_manager()
    manager.apply(config_of(entry(late), entry(base)))
    until(manager.ready)
    assert answering(manager) == 1
    make_version(late, "1")
    manager.poll()
    until(lambda: states(manager, "late") == [(1, "AVAILABLE")])


def test_a_regular_file_fails_in_the_real_words(new_manager: NewManager, base: Path) -> None:
    make_version(base, "1")
    (base / "50").touch()
    manager = serving(new_manager(), base)
    status = manager.status("m", 50)[0]
    assert (status.code, status.message) == (
        Code.FAILED_PRECONDITION,
        "Error while attempting to reserve resources to load servable {name: m version: 50}:"
        f" {base}/50; Not a directory",
    )


def test_unexpected_errors_become_the_status_too(
    new_manager: NewManager, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("boom")

    make_version(base, "1")
    manager = new_manager()
    monkeypatch.setattr("serving.servable.load", crash)
    manager.apply(config_of(entry(base)))
    until(lambda: states(manager) == [(1, "END")])
    assert manager.status("m")[0].message == f"Loading {base / '1'} failed: boom"
