"""What is tried before a version serves: in time, seldom, and without a trace."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import opening, probes, savedmodel, threads
from serving.probes import Probe
from serving.session import Session
from serving.trials import Trial
from tests.engine.made import made_once
from tests.engine.trial_models import PRINTED

SERVE = frozenset({"serve"})
AMPLE_S = 600.0
OpenModel = Callable[..., Session]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.engine.trial_models", tmp_path_factory)


@pytest.fixture
def open_model(made: Path) -> Iterator[OpenModel]:
    opened: list[Session] = []

    def open_it(name: str, trial_s: float) -> Session:
        from tensorflow.core.protobuf import config_pb2

        path = made / name
        meta_graph = savedmodel.read_meta_graph(path, SERVE)
        opened.append(opening.open_session(path, meta_graph, config_pb2.ConfigProto(), True, trial_s))
        return opened[-1]

    yield open_it
    for session in opened:
        session.close()
    for thread in under_way():
        thread.join()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What has been fetched so far."""
    fetched: list[tuple[str, ...]] = []
    run = Session._run

    def count(self: Session, feeds: Any, fetches: Any, *more: Any) -> Any:
        fetched.extend([tuple(fetches)] if fetches else [])
        return run(self, feeds, fetches, *more)

    monkeypatch.setattr(Session, "_run", count)
    return fetched


def under_way() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("trial")]


def has_variables(session: Session) -> bool:
    return any(operation.type == "VarHandleOp" for operation in session.compat.graph.get_operations())


def plan_of(session: Session) -> threads.Plan:
    return threads.Plan(session.compat._config.intra_op_parallelism_threads, session.side_by_side)


def test_two_runs_are_enough_for_the_plan(open_model: OpenModel, runs: list[tuple[str, ...]]) -> None:
    session = open_model("quick", AMPLE_S)
    assert len(runs) == 2
    assert len(set(runs)) == 1, "one signature tells enough"
    assert not has_variables(session)
    assert plan_of(session) == threads.LIGHT


def test_nothing_is_tried_when_that_is_turned_off(open_model: OpenModel, runs: list[tuple[str, ...]]) -> None:
    session = open_model("quick", 0.0)
    assert not runs
    assert not has_variables(session)
    assert plan_of(session) == threads.HEAVY


def test_nobody_waits_for_an_operation_that_cannot_be_ended(open_model: OpenModel) -> None:
    session = open_model("one_operation", 0.3)
    assert under_way(), "it has ended already: the operation is too short for this test"
    assert not has_variables(session)
    assert plan_of(session) == threads.HEAVY


def test_a_run_without_an_end_is_ended(open_model: OpenModel) -> None:
    assert plan_of(open_model("endless", 0.3)) == threads.HEAVY
    for thread in under_way():
        thread.join(60.0)
    assert not under_way()


@pytest.mark.parametrize("where", ["in_a_map", "in_a_loop", "in_a_branch", "in_a_function", "as_of_old"])
def test_what_prints_is_not_tried(
    open_model: OpenModel, where: str, runs: list[tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert not has_variables(open_model(f"printing_{where}", AMPLE_S))
    assert not runs
    assert PRINTED not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", ["asserting", "texts", "numbers"])
def test_what_complains_or_is_huge_is_not_tried(open_model: OpenModel, name: str, runs: list[tuple[str, ...]]) -> None:
    assert not has_variables(open_model(name, AMPLE_S))
    assert not runs


def test_what_does_not_take_made_up_input_is_served_as_it_is(open_model: OpenModel) -> None:
    session = open_model("failing", AMPLE_S)
    assert plan_of(session) == threads.HEAVY


def test_inputs_of_all_types_are_made_up(open_model: OpenModel, runs: list[tuple[str, ...]]) -> None:
    open_model("types", AMPLE_S)
    assert len(runs) == 2


def test_where_the_size_is_open_nothing_tells_how_long_requests_take(
    open_model: OpenModel, runs: list[tuple[str, ...]]
) -> None:
    session = open_model("grows", AMPLE_S)
    assert not runs
    assert plan_of(session) == threads.HEAVY


def test_of_a_record_one_row_is_asked(made: Path, tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    meta_graph = savedmodel.read_meta_graph(made / "quick", SERVE)
    (alias,) = meta_graph.signature_def["again"].inputs
    entry = prediction_log_pb2.PredictionLog()
    rows = np.arange(64, dtype=np.float32).reshape(16, 4)
    entry.predict_log.request.inputs[alias].CopyFrom(tf.make_tensor_proto(rows))
    entry.predict_log.request.model_spec.signature_name = "again"
    copy = shutil.copytree(made / "quick", tmp_path / "copy")
    (copy / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(copy / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(entry.SerializeToString())
    probe = next(probe for probe in probes.typical(copy, meta_graph) if probe.signature == "again")
    assert [value.tolist() for value in probe.feeds.values()] == [rows[:1].tolist()]


def test_whatever_a_run_raises_tells_nothing_and_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    class Odd(Session):
        def __init__(self) -> None: ...

        def run_here(self, *_: Any, **__: Any) -> list[Any]:
            raise TypeError("cannot be fed")

        def close(self) -> None: ...

    trial = Trial(Odd(), [Probe("serving_default", {}, ())], AMPLE_S)
    trial.wait()
    trial.close()
    assert trial.took == 0.0
    assert "".join(capfd.readouterr()) == ""
