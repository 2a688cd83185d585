"""Changes of models.config while serving: what is added, dropped, refused, and the labels."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.errors import ServingError
from serving.manager import Manager
from tests.unit.serving.fakes import FakeLoader, answering, config_of, make_version, states
from tests.waiting import until

NewManager = Callable[..., Manager]

ALL = "model_version_policy { all {} }"


def entry(base: Path, more: str = "") -> str:
    return f'name: "{base.name}" base_path: "{base}" {more}'


def label(name: str, version: int) -> str:
    return f'version_labels {{ key: "{name}" value: {version} }}'


def refusal(manager: Manager, config: Any) -> str:
    with pytest.raises(ServingError) as caught:
        manager.reload(config)
    return str(caught.value)


@pytest.fixture
def two(base: Path) -> Path:
    """A base path with the versions 1 and 2."""
    make_version(base, "1")
    make_version(base, "2")
    return base


@pytest.fixture
def manager(new_manager: NewManager, two: Path) -> Manager:
    """Serves both versions."""
    made = new_manager()
    made.reload(config_of(entry(two, ALL)))
    until(lambda: states(made) == [(2, "AVAILABLE"), (1, "AVAILABLE")])
    return made


def test_the_same_again_changes_nothing(manager: Manager, two: Path, loader: FakeLoader) -> None:
    manager.reload(config_of(entry(two, ALL)))
    assert sorted(loader.asked) == ["m/1", "m/2"]


def test_a_new_model_is_available_when_the_call_returns(manager: Manager, two: Path, tmp_path: Path) -> None:
    make_version(tmp_path / "n", "1")
    manager.reload(config_of(entry(two, ALL), entry(tmp_path / "n")))
    assert answering(manager, "n") == 1


def test_a_new_model_that_cannot_be_loaded(manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader) -> None:
    bad = tmp_path / "bad"
    make_version(bad, "123", "bad")
    config = config_of(entry(two, ALL), entry(bad))
    assert refusal(manager, config) == (
        "UNKNOWN: 1 model(s) did not become available: {{{name: bad version: 123} due to error: DATA_LOSS:"
        f" bad model in {bad}/123}}, }}"
    )
    assert answering(manager) == 2
    assert states(manager, "bad") == [(123, "END")]
    manager.reload(config)
    assert loader.asked.count("bad/123") == 1


def test_a_new_model_without_a_base_path_does_not_block(manager: Manager, two: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    assert "Could not find base path" in refusal(manager, config_of(entry(two, ALL), entry(late)))
    make_version(late, "1")
    manager.poll()
    until(lambda: states(manager, "late") == [(1, "AVAILABLE")])


def test_a_new_model_that_is_to_serve_nothing(manager: Manager, two: Path, tmp_path: Path) -> None:
    make_version(tmp_path / "n", "1")
    nothing = entry(tmp_path / "n", "model_version_policy { specific {} }")
    manager.reload(config_of(entry(two, ALL), nothing))


def test_a_reload_that_waits_blocks_nobody(manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader) -> None:
    slow = tmp_path / "slow"
    make_version(slow, "1")
    release = loader.hold("slow/1")
    with_slow = config_of(entry(two, ALL), entry(slow))
    waiting = threading.Thread(target=manager.reload, args=(with_slow,))
    waiting.start()
    until(lambda: "slow/1" in loader.asked)
    manager.poll()
    manager.reload(with_slow)
    assert waiting.is_alive()
    release()
    waiting.join(10)
    assert not waiting.is_alive() and answering(manager, "slow") == 1


def test_a_waiting_reload_ends_when_the_model_is_dropped(
    manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader
) -> None:
    slow = tmp_path / "slow"
    make_version(slow, "1")
    release = loader.hold("slow/1")
    waiting = threading.Thread(target=manager.reload, args=(config_of(entry(two, ALL), entry(slow)),))
    waiting.start()
    until(lambda: "slow/1" in loader.asked)
    manager.reload(config_of(entry(two, ALL)))
    waiting.join(10)
    assert not waiting.is_alive()
    release()
    until(lambda: states(manager, "slow") == [(1, "END")])


def test_a_waiting_reload_ends_when_the_server_stops(
    manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader
) -> None:
    slow = tmp_path / "slow"
    make_version(slow, "1")
    release = loader.hold("slow/1")
    errors: list[str] = []
    config = config_of(entry(two, ALL), entry(slow))
    waiting = threading.Thread(target=lambda: errors.append(refusal(manager, config)))
    waiting.start()
    until(lambda: "slow/1" in loader.asked)
    manager.stop_changing()
    waiting.join(10)
    assert errors == ["UNAVAILABLE: The server is shutting down"]
    assert answering(manager) == 2, "what serves has to go on until the last request is answered"
    release()


def test_a_model_that_is_not_listed_any_more_is_unloaded(manager: Manager, two: Path) -> None:
    manager.reload(config_of())
    until(lambda: states(manager) == [(2, "END"), (1, "END")])
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        answering(manager)
    manager.reload(config_of(entry(two)))
    assert states(manager) == [(2, "AVAILABLE"), (1, "END")]


def test_a_failed_version_is_tried_again_when_its_model_comes_back(
    manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader
) -> None:
    bad = tmp_path / "bad"
    make_version(bad, "1", "bad")
    with_bad = config_of(entry(two, ALL), entry(bad))
    refusal(manager, with_bad)
    manager.reload(config_of(entry(two, ALL)))
    refusal(manager, with_bad)
    assert loader.asked.count("bad/1") == 2


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", [(2, "AVAILABLE"), (1, "END")]),
        ("model_version_policy { latest { num_versions: 0 } }", [(2, "AVAILABLE"), (1, "END")]),
        ("model_version_policy { specific { versions: 1 } }", [(2, "END"), (1, "AVAILABLE")]),
        ("model_version_policy { specific {} }", [(2, "END"), (1, "END")]),
    ],
)
def test_a_policy_can_change(manager: Manager, two: Path, policy: str, expected: list[tuple[int, str]]) -> None:
    manager.reload(config_of(entry(two, policy)))
    until(lambda: states(manager) == expected)


def test_another_base_path_with_the_same_number_keeps_the_loaded_files(
    manager: Manager, two: Path, tmp_path: Path, loader: FakeLoader
) -> None:
    make_version(tmp_path / "elsewhere", "2")
    moved = f'name: "m" base_path: "{tmp_path / "elsewhere"}"'
    manager.reload(config_of(moved))
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])
    with manager.acquire("m") as handle:
        assert handle.servable.path == two / "2"
    manager.reload(config_of())
    until(lambda: states(manager) == [(2, "END"), (1, "END")])
    manager.reload(config_of(moved))
    with manager.acquire("m") as handle:
        assert handle.servable.path == tmp_path / "elsewhere" / "2"


def test_what_is_refused_changes_nothing(manager: Manager, two: Path, tmp_path: Path) -> None:
    make_version(tmp_path / "n", "1")
    n = entry(tmp_path / "n")
    for bad in (
        config_of(n, n),
        config_of(entry(two), 'name: "x" base_path: "foo"'),
        config_of(n, entry(two, label("l", 99))),
    ):
        with pytest.raises(ServingError):
            manager.reload(bad)
        assert states(manager) == [(2, "AVAILABLE"), (1, "AVAILABLE")]
        with pytest.raises(ServingError, match="Could not find any versions of model n"):
            manager.status("n")


def test_a_request_log_cannot_be_had_and_the_models_load(manager: Manager, two: Path, tmp_path: Path) -> None:
    make_version(tmp_path / "n", "1")
    config = config_of(entry(two, ALL), entry(tmp_path / "n", "logging_config {}"))
    assert refusal(manager, config) == "INVALID_ARGUMENT: No request-logger-creator provided."
    assert answering(manager, "n") == 1


def test_labels_are_replaced_as_a_whole(manager: Manager, two: Path) -> None:
    manager.reload(config_of(entry(two, f"{ALL} {label('stable', 1)} {label('canary', 2)}")))
    assert (answering(manager, label="stable"), answering(manager, label="canary")) == (1, 2)
    manager.reload(config_of(entry(two, f"{ALL} {label('stable', 2)}")))
    assert answering(manager, label="stable") == 2
    with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
        answering(manager, label="canary")


def test_a_label_may_only_point_to_an_available_version(manager: Manager, two: Path) -> None:
    manager.reload(config_of(entry(two, f"{ALL} {label('stable', 1)}")))
    assert refusal(manager, config_of(entry(two, f"{ALL} {label('stable', 999)}"))) == (
        "FAILED_PRECONDITION: Request to assign label to version 999 of model m, which is not currently"
        " available for inference"
    )
    assert answering(manager, label="stable") == 1


def test_labels_for_a_model_that_is_not_loaded_yet(new_manager: NewManager, two: Path) -> None:
    config = config_of(entry(two, label("stable", 2)))
    assert refusal(new_manager(), config).startswith("FAILED_PRECONDITION: Request to assign label")
    allowing = new_manager(allow_version_labels_for_unavailable_models=True)
    allowing.reload(config)
    assert answering(allowing, label="stable") == 2


def test_with_the_flag_a_new_label_may_point_anywhere_and_an_old_one_may_not_move_there(
    new_manager: NewManager, two: Path
) -> None:
    manager = new_manager(allow_version_labels_for_unavailable_models=True)
    manager.reload(config_of(entry(two, label("new", 999))))
    with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 999\)"):
        answering(manager, label="new")
    manager.reload(config_of(entry(two, label("new", 999))))
    manager.reload(config_of(entry(two, label("new", 2))))
    assert refusal(manager, config_of(entry(two, label("new", 998)))).startswith("FAILED_PRECONDITION")


def test_a_label_follows_its_version_out_and_back(manager: Manager, two: Path) -> None:
    manager.reload(config_of(entry(two, f"{ALL} {label('stable', 1)}")))
    shutil.rmtree(two / "1")
    manager.poll()
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "END")])
    with pytest.raises(ServingError, match=r"Specific\(m, 1\)"):
        answering(manager, label="stable")
    make_version(two, "1")
    manager.poll()
    until(lambda: states(manager) == [(2, "AVAILABLE"), (1, "AVAILABLE")])
    assert answering(manager, label="stable") == 1


def test_polling_never_looks_at_the_disk_when_it_is_negative(new_manager: NewManager, two: Path) -> None:
    manager = new_manager(file_system_poll_wait_seconds=-1)
    manager.reload(config_of(entry(two)), wait=False)
    manager.poll()
    assert not manager.ready()
    with pytest.raises(ServingError, match="Could not find any versions"):
        manager.status("m")
