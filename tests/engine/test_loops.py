"""Graphs that surely end run without a thread that watches the time; all others have one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving import loops, session
from serving.errors import Code, ServingError
from serving.session import Session


def counted(x: Any) -> Any:
    import tensorflow as tf

    return tf.map_fn(lambda row: row * 2.0, x)


def until_it_is_small(x: Any) -> Any:
    import tensorflow as tf

    return tf.while_loop(lambda y: tf.reduce_sum(y) > 1.0, lambda y: [y / 2.0], [x])[0]


def graph_def(function: Any, lowered: bool = False) -> tuple[Any, str, str]:
    """The graph of `function`, and the names of its input and output."""
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    spec = tf.TensorSpec([None], tf.float32, name="x")
    concrete = tf.function(function, input_signature=[spec]).get_concrete_function()
    if lowered:
        concrete = convert_to_constants.convert_variables_to_constants_v2(concrete, lower_control_flow=True)
    return concrete.graph.as_graph_def(), concrete.inputs[0].name, concrete.outputs[0].name


@pytest.mark.parametrize("lowered", [False, True])
@pytest.mark.parametrize(("function", "ends"), [(counted, True), (until_it_is_small, False)])
def test_a_loop_over_rows_ends_and_one_for_a_value_may_not(function: Any, ends: bool, lowered: bool) -> None:
    graph, *_ = graph_def(function, lowered)
    ops = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    assert ("LoopCond" in ops) == lowered
    assert loops.surely_ends(graph) is ends


def test_an_op_that_waits_for_another_one_may_not_end() -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.queue.FIFOQueue(1, [tf.float32]).dequeue()
    assert not loops.surely_ends(graph.as_graph_def())


def opened(function: Any) -> tuple[Session, str, str]:
    from tensorflow.core.protobuf import config_pb2

    graph, fed, fetched = graph_def(function)
    return Session(graph, config_pb2.ConfigProto(intra_op_parallelism_threads=1), 1, True), fed, fetched


def test_a_run_that_took_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_AMPLE_S", 0.0)
    opened_session, fed, fetched = opened(counted)
    rows = np.ones(100_000, np.float32)
    with pytest.raises(ServingError) as caught:
        opened_session.run({fed: rows}, [fetched], (), 0.001)
    assert (caught.value.code, caught.value.message) == (Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
    assert opened_session.run({fed: rows[:3]}, [fetched], (), 60.0)[0].tolist() == [2.0, 2.0, 2.0]


def test_an_endless_run_is_ended_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_AMPLE_S", 0.0)
    opened_session, fed, fetched = opened(until_it_is_small)
    with pytest.raises(ServingError) as caught:
        opened_session.run({fed: np.array([np.inf], np.float32)}, [fetched], (), 0.2)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
