"""Versions as they are opened: frozen or not, with how many threads, and at which priority."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import opening, savedmodel, threads
from serving.errors import ServingError
from serving.session import Session, start_maker
from tests.engine.made import made_once

X = np.arange(8, dtype=np.float32).reshape(2, 4)
OpenModel = Callable[..., Session]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.engine.opening_models", tmp_path_factory)


@pytest.fixture
def open_model(made: Path) -> Any:
    opened: list[Session] = []

    def open_it(name: str | Path, freeze: bool = True, intra: int = 0, trial_s: float = 600.0) -> Session:
        from tensorflow.core.protobuf import config_pb2

        path = made / name
        meta_graph = savedmodel.read_meta_graph(path, frozenset({"serve"}))
        config = config_pb2.ConfigProto(intra_op_parallelism_threads=intra)
        opened.append(opening.open_session(path, meta_graph, config, freeze, trial_s))
        return opened[-1]

    yield open_it
    for session in opened:
        session.close()


def ask(session: Session, made: Path, name: str, value: Any, signature: str = "serving_default") -> list[Any]:
    meta_graph = savedmodel.read_meta_graph(made / name, frozenset({"serve"}))
    info = meta_graph.signature_def[signature]
    feeds = {info.inputs[alias].name: value for alias in info.inputs}
    return session.run(feeds, [info.outputs[alias].name for alias in sorted(info.outputs)], (), None)


def has_variables(session: Session) -> bool:
    handles = [op for op in session.compat.graph.get_operations() if op.type == "VarHandleOp"]
    return any(op.get_attr("dtype").name != "string" for op in handles)  # Names of asset files stay.


def test_variables_become_constants_and_the_answers_stay(open_model: OpenModel, made: Path) -> None:
    frozen, plain = open_model("dense"), open_model("dense", freeze=False)
    assert not has_variables(frozen)
    assert has_variables(plain)
    (one,), (other,) = ask(frozen, made, "dense", X), ask(plain, made, "dense", X)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert np.abs(one).max() > 0.1


def test_tables_are_filled_in_a_frozen_version(open_model: OpenModel, made: Path) -> None:
    session = open_model("table")
    assert not has_variables(session)
    words = np.array([b"dog", b"cow", b"cat"], dtype=object)
    lines, _ = ask(session, made, "table", words, "lookup")
    assert lines.tolist() == [1, -1, 0]


def test_a_version_that_writes_to_its_variables_keeps_them(open_model: OpenModel, made: Path) -> None:
    session = open_model("counting")
    assert has_variables(session)
    zero = np.zeros((1, 4), np.float32)
    assert [float(ask(session, made, "counting", zero, "count")[0][0, 0]) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_threads_suit_the_version(open_model: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CPUS", 2)
    # Sessions of this process share their threads, unlike the server's: others do most of the work of this one.
    monkeypatch.setattr(threads, "_HEAVY_S", 0.002)
    assert plan_of(open_model("dense")) == threads.LIGHT
    assert plan_of(open_model("heavy")) == threads.HEAVY
    assert plan_of(open_model("heavy", intra=3)).threads == 3


def test_sessions_made_by_a_polite_thread_have_threads_of_normal_priority() -> None:
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2

    start_maker()
    before = priorities()
    made: list[Session] = []

    def politely() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
        config = config_pb2.ConfigProto(use_per_session_threads=True, inter_op_parallelism_threads=3)
        made.append(Session(tf.Graph().as_graph_def(), config))

    thread = threading.Thread(target=politely)
    thread.start()
    thread.join()
    new = {task: nice for task, nice in priorities().items() if task not in {*before, str(thread.native_id)}}
    made[0].close()
    assert len(new) >= 3
    assert set(new.values()) == {os.getpriority(os.PRIO_PROCESS, 0)}


def test_a_broken_copy_is_refused_before_anything_is_tried(made: Path, tmp_path: Path, open_model: OpenModel) -> None:
    copy = shutil.copytree(made / "dense", tmp_path / "copy")
    (copy / "variables" / "variables.index").unlink()
    with pytest.raises(ServingError, match=r"declares [0-9]+ variables and none are on disk"):
        open_model(copy)


def plan_of(session: Session) -> threads.Plan:
    return threads.Plan(session.compat._config.intra_op_parallelism_threads, session.side_by_side)


def priorities() -> dict[str, int]:
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # Threads of other tests may be ending.
            found[task.name] = os.getpriority(os.PRIO_PROCESS, int(task.name))
    return found


def test_errors_quote_functions_by_the_names_of_the_savedmodel(made: Path, open_model: OpenModel) -> None:
    session = open_model("images")
    assert not has_variables(session)
    written = savedmodel.read_meta_graph(made / "images", frozenset({"serve"})).graph_def
    names = {function.signature.name for function in session.compat.graph.as_graph_def().library.function}
    assert names <= {function.signature.name for function in written.library.function}
    messages = []
    for opened in (session, open_model("images", freeze=False)):
        with pytest.raises(ServingError) as caught:
            ask(opened, made, "images", np.array([b"no image"], dtype=object))
        messages.append(caught.value.message)
    assert messages[0] == messages[1]
