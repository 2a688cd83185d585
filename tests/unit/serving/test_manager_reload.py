"""Changes of models.config while serving: what is added, dropped, refused, and the labels."""

from __future__ import annotations

import functools
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


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A base path whose version is loaded when the test says so."""
    make_version(tmp_path / "slow", "1")
    return tmp_path / "slow"


class Reload(threading.Thread):
    """A reload under way in a thread of its own; `answer` is OK, or the refusal."""

    def __init__(self, manager: Manager, config: Any, timeout_s: float | None = None) -> None:
        super().__init__()
        self._reload = functools.partial(manager.reload, config, timeout_s)
        self.answer = ""
        self.start()

    def run(self) -> None:
        try:
            self._reload()
            self.answer = "OK"
        except ServingError as error:
            self.answer = str(error)

    def ended(self) -> str:
        """Its answer, which has to come now."""
        self.join(10)
        assert not self.is_alive()
        return self.answer


def test_a_reload_that_waits_leaves_versions_and_requests_alone(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader
) -> None:
    release = loader.hold("slow/1")
    waiting = Reload(manager, config_of(entry(two, ALL), entry(slow)))
    until(lambda: "slow/1" in loader.asked)
    make_version(two, "3")
    manager.poll()
    until(lambda: answering(manager) == 3)
    assert waiting.is_alive()
    release()
    assert waiting.ended() == "OK" and answering(manager, "slow") == 1


@pytest.mark.parametrize("later", ["reload", "apply"])
def test_a_waiting_reload_is_aborted_when_a_later_config_takes_its_model_off(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader, later: str
) -> None:
    release = loader.hold("slow/1")
    waiting = Reload(manager, config_of(entry(two, ALL), entry(slow)))
    until(lambda: "slow/1" in loader.asked)
    getattr(manager, later)(config_of(entry(two, ALL)))
    assert waiting.ended() == (
        "ABORTED: 1 model(s) were taken off the list before they became available, by another reload or by the file"
        " that is polled: slow"
    )
    release()
    until(lambda: states(manager, "slow") == [(1, "END")])


def test_a_model_that_was_taken_off_and_listed_again_is_not_taken_for_the_first(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader
) -> None:
    release = loader.hold("slow/1")
    with_slow = config_of(entry(two, ALL), entry(slow))
    first = Reload(manager, with_slow)
    until(lambda: "slow/1" in loader.asked)
    manager.apply(config_of(entry(two, ALL)))
    second = Reload(manager, with_slow)
    assert first.ended().startswith("ABORTED")
    assert second.is_alive()
    release()
    assert second.ended() == "OK" and answering(manager, "slow") == 1


def test_a_model_that_an_earlier_config_is_loading_is_waited_for(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader
) -> None:
    release = loader.hold("slow/1")
    config = config_of(entry(two, ALL), entry(slow))
    manager.apply(config)
    until(lambda: "slow/1" in loader.asked)
    waiting = Reload(manager, config)
    waiting.join(0.2)
    assert waiting.is_alive() and states(manager, "slow") == [(1, "LOADING")]
    release()
    assert waiting.ended() == "OK" and answering(manager, "slow") == 1


def test_a_model_that_an_earlier_config_could_not_load_is_not_waited_for(
    new_manager: NewManager, two: Path, slow: Path
) -> None:
    manager = new_manager(max_num_load_retries=1, load_retry_interval_micros=3_600_000_000)
    (slow / "1" / "model").write_text("bad")
    config = config_of(entry(two, ALL), entry(slow))
    manager.apply(config)
    until(manager.ready)
    assert Reload(manager, config).ended() == "OK"


def test_a_reload_is_over_when_its_time_is_and_the_next_may_begin(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader
) -> None:
    release = loader.hold("slow/1")
    with_slow = config_of(entry(two, ALL), entry(slow))
    waiting = Reload(manager, with_slow)
    until(lambda: "slow/1" in loader.asked)
    assert Reload(manager, with_slow, 0.1).ended() == "DEADLINE_EXCEEDED: Deadline Exceeded"
    release()
    assert waiting.ended() == "OK"
    make_version(slow, "2")
    release = loader.hold("slow/2")
    manager.reload(config_of(entry(two, ALL)))
    assert Reload(manager, with_slow, 0.1).ended() == "DEADLINE_EXCEEDED: Deadline Exceeded"
    manager.reload(config_of(entry(two, ALL)))
    release()


def test_versions_that_vanish_while_they_load_end_the_wait(
    manager: Manager, two: Path, slow: Path, loader: FakeLoader
) -> None:
    release = loader.hold("slow/1")
    waiting = Reload(manager, config_of(entry(two, ALL), entry(slow)))
    until(lambda: "slow/1" in loader.asked)
    shutil.rmtree(slow / "1")
    manager.poll()
    assert "No versions of servable slow found" in waiting.ended()
    release()


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
    manager.apply(config_of(entry(two)))
    manager.poll()
    assert not manager.ready()
    with pytest.raises(ServingError, match="Could not find any versions"):
        manager.status("m")
