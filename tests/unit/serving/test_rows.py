"""What keeps rows apart and what does not, operation by operation; every reason names the operation and its node."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tensorflow as tf

from serving.batching.graph import changing_ops
from serving.batching.rows import proof
from serving.batching.rows.sizes import ROWS, Size
from serving.batching.rows.table import RULES
from tests.unit.serving.random_graphs import Graph, with_signature
from tests.unit.serving.row_graphs import MIXED, ROW_WISE, SHAPE, Make, W


def made(make: Make, shape: Any = SHAPE, dtype: Any = tf.float32) -> Graph:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(dtype, shape, name="x")
        output = tf.identity(make(x), name="y")
    return with_signature(tf, graph, [x], output, True, [])


def reason(make: Make, shape: Any = SHAPE, dtype: Any = tf.float32) -> str:
    graph = made(make, shape, dtype)
    return proof.why_not(graph.meta_graph, graph.signature)


@pytest.mark.parametrize("name", ROW_WISE)
def test_rows_are_apart(name: str) -> None:
    make, shape, dtype = ROW_WISE[name]
    assert reason(make, shape, dtype) == ""


@pytest.mark.parametrize("name", MIXED)
def test_rows_are_not_proved_to_be_apart(name: str) -> None:
    make, pattern, shape = MIXED[name]
    found = reason(make, shape)
    assert re.search(pattern, found), found


def test_what_an_exporter_leaves_out_has_its_default() -> None:
    graph = made(lambda x: tf.compat.v1.nn.fused_batch_norm(x, [1.0], [0.0], is_training=True)[0], [None, 2, 2, 1])
    for node in graph.meta_graph.graph_def.node:
        if node.op.startswith("FusedBatchNorm"):
            del node.attr["is_training"]  # The default is true.
    assert "as in training" in proof.why_not(graph.meta_graph, graph.signature)


def test_the_graph_is_left_as_it_was() -> None:
    graph = made(lambda x: tf.nn.relu(x @ W))
    before = graph.meta_graph.SerializeToString(deterministic=True)
    assert proof.why_not(graph.meta_graph, graph.signature) == ""
    assert graph.meta_graph.SerializeToString(deterministic=True) == before


def test_functions_are_followed_and_named_in_the_reason() -> None:
    inner = tf.function(lambda y: y - tf.reduce_mean(y))
    outer = tf.function(lambda x: inner(x) + 1.0)
    assert re.fullmatch(
        r"`Mean` at node \S*PartitionedCall/\S*PartitionedCall/Mean reduces over the rows", reason(outer)
    )


def test_a_check_of_rows_inside_a_function_counts() -> None:
    def checked(x: Any) -> Any:
        tf.debugging.Assert(tf.reduce_any(x > 0), [x])
        return x * 2.0

    assert "reduces over the rows" in reason(tf.function(checked, autograph=False))


def test_functions_that_call_each_other_for_ever_are_given_up() -> None:
    graph = made(tf.function(lambda x: x * 2.0))
    function = graph.meta_graph.graph_def.library.function[0]
    call = function.node_def.add(name="again", op=function.signature.name, input=[function.signature.input_arg[0].name])
    function.control_ret["again"] = call.name
    assert "levels deep" in proof.why_not(graph.meta_graph, graph.signature)


def test_what_a_function_takes_from_its_caller_is_not_guessed() -> None:
    graph = made(tf.function(lambda x: tf.linalg.matmul(x, W)))
    body = graph.meta_graph.graph_def.library.function[0].node_def
    for node in body:
        if node.op == "MatMul":
            node.attr["transpose_a"].placeholder = "turned"
    assert "takes its `transpose_a` from whoever calls" in proof.why_not(graph.meta_graph, graph.signature)


def test_one_tensor_is_not_two_inputs() -> None:
    graph = made(lambda x: x * 2.0)
    graph.signature.inputs["also"].CopyFrom(graph.signature.inputs["x0"])
    assert "`x0` is the same tensor as another input" in proof.why_not(graph.meta_graph, graph.signature)


def test_an_old_loop_is_not_followed() -> None:
    with tf.Graph().as_default():
        tf.compat.v1.disable_control_flow_v2()
        try:
            text = reason(
                lambda x: tf.compat.v1.while_loop(lambda y: True, lambda y: y * 2.0, [x], maximum_iterations=3)
            )
        finally:
            tf.compat.v1.enable_control_flow_v2()
    assert "circles" in text or "is not among the operations" in text


def test_every_operation_of_the_table_is_one_of_tensorflow() -> None:
    from tensorflow.python.framework import op_def_registry

    assert [name for name in RULES if op_def_registry.get(name) is None] == []


def test_no_operation_of_the_table_changes_anything() -> None:
    from tensorflow.python.framework import op_def_registry

    stateful = {name for name in RULES if op_def_registry.get(name).is_stateful}
    reads = {"VarHandleOp", "VariableV2", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "HashTable"}
    reads |= {"HashTableV2", "LookupTableFind", "LookupTableFindV2", "LookupTableSize", "LookupTableSizeV2"}
    assert stateful - reads <= {"StatefulPartitionedCall", "Assert", "CheckNumerics"}  # They call, or they refuse.


def test_sizes_are_divided_only_where_that_is_certain() -> None:
    side = Size(1, ("side",))
    assert (ROWS * Size(6) * side).over(ROWS) == Size(6) * side
    assert (Size(6) * side).over(Size(3)) == Size(2) * side
    assert Size(6).over(Size(4)) is None
    assert Size(6).over(side) is None
    assert Size(6).over(Size(0)) is None
    assert ROWS.counts_rows and not side.counts_rows and not (ROWS * Size(0)).counts_rows
    assert (Size(0) * side).number == 0


def test_only_a_fixed_number_of_entries_is_one_for_each_row() -> None:
    side = Size(1, ("side",))
    assert (ROWS * Size(6) * side).for_each_row == Size(6) * side
    for other in (side, Size(6), ROWS * ROWS, ROWS * Size(-1), ROWS * Size(0)):
        assert other.for_each_row is None


@pytest.mark.parametrize(
    "operation",
    ["CountUpTo", "AssignAdd", "LookupTableInsert", "LookupTableImport", "StridedSliceAssign", "QueueDequeue"],
)
def test_what_writes_to_a_variable_that_it_is_given_changes_state(operation: str) -> None:
    graph = made(lambda x: x * 2.0)
    node = graph.meta_graph.graph_def.node.add(name="writes", op=operation)
    graph.meta_graph.graph_def.node[-2].input.append(f"^{node.name}")
    assert changing_ops(graph.meta_graph, graph.signature) == [operation]


@pytest.mark.parametrize("operation", ["Identity", "LookupTableFind", "IsVariableInitialized", "RefIdentity"])
def test_what_reads_a_variable_changes_nothing(operation: str) -> None:
    graph = made(lambda x: x * 2.0)
    node = graph.meta_graph.graph_def.node.add(name="reads", op=operation)
    graph.meta_graph.graph_def.node[-2].input.append(f"^{node.name}")
    assert changing_ops(graph.meta_graph, graph.signature) == []
