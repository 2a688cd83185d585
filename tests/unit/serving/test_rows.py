"""What keeps rows apart and what does not, operation by operation; every reason names the operation and its node."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.batching.rows import proof
from serving.batching.rows.sizes import ROWS, Size
from serving.batching.rows.table import RULES
from tests.unit.serving.random_graphs import Graph, with_signature

Make = Callable[[Any], Any]
SHAPE = [None, 4]


def made(make: Make, shape: Any = SHAPE, dtype: Any = tf.float32) -> Graph:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.compat.v1.placeholder(dtype, shape, name="x")
        output = tf.identity(make(x), name="y")
    return with_signature(tf, graph, [x], output, True, [])


def reason(make: Make, shape: Any = SHAPE, dtype: Any = tf.float32) -> str:
    graph = made(make, shape, dtype)
    return proof.why_not(graph.meta_graph, graph.signature)


def shape_of(x: Any) -> Any:
    return tf.shape(x)


W = np.ones((4, 3), np.float32)
ROW_WISE: dict[str, tuple[Make, Any, Any]] = {
    "dense on sequences of any length": (lambda x: tf.tensordot(x, W, 1), [None, None, 4], tf.float32),
    "flatten of any size": (lambda x: tf.reshape(x, [tf.shape(x)[0], -1]), [None, None, None], tf.float32),
    "side by side and back": (
        lambda x: tf.reshape(tf.square(tf.reshape(x, [-1, 4])), [-1, tf.shape(x)[1], 4]),
        [None, None, 4],
        tf.float32,
    ),
    "zeros for rows": (lambda x: tf.concat([x, tf.zeros([tf.shape(x)[0], 2])], 1), SHAPE, tf.float32),
    "a token for rows": (
        lambda x: tf.concat([tf.tile(tf.ones([1, 1, 4]), [tf.shape(x)[0], 1, 1]), x], 1),
        [None, 3, 4],
        tf.float32,
    ),
    "places in a sequence": (
        lambda x: x + tf.gather(tf.ones([9, 4]), tf.range(tf.shape(x)[1])),
        [None, None, 4],
        tf.float32,
    ),
    "own row by number": (lambda x: tf.gather(x, tf.argmax(x, 1), axis=1, batch_dims=1), SHAPE, tf.float32),
    "path of places": (lambda x: tf.gather_nd(tf.ones([5, 5]), x), [None, 2], tf.int32),
    "condition for each row": (
        lambda x: tf.compat.v1.where(tf.reduce_max(x, 1) > 0.5, x, tf.zeros_like(x)),
        SHAPE,
        tf.float32,
    ),
    "text": (lambda x: tf.strings.length(tf.strings.join([x, "!"])), [None], tf.string),
    "einsum": (lambda x: tf.einsum("bij,jk->bik", x, W), [None, 2, 4], tf.float32),
    "whatever is computed from constants alone": (
        lambda x: x * tf.reshape(tf.linalg.svd(tf.eye(4))[0], [4]),
        SHAPE,
        tf.float32,
    ),
}
MIXED: dict[str, tuple[Make, str, Any]] = {
    "scaled by all": (lambda x: x / tf.reduce_max(x), "`Max` at node Max reduces over the rows", SHAPE),
    "scaled by all but the last axis": (lambda x: x / tf.reduce_max(x, -2), "reduces over the rows", SHAPE),
    "number of rows": (
        lambda x: x / tf.cast(tf.shape(x)[0], tf.float32),
        "`Cast` at node Cast computes with the number of rows",
        SHAPE,
    ),
    "number of numbers": (lambda x: x / tf.cast(tf.size(x), tf.float32), "computes with the number of rows", SHAPE),
    "the largest size": (
        lambda x: x + tf.cast(tf.argmax(tf.shape(x)), tf.float32),
        "`ArgMax` at node ArgMax computes with the number of rows",
        SHAPE,
    ),
    "the sum of sizes": (
        lambda x: x + tf.cast(tf.reduce_sum(tf.shape(x)), tf.float32),
        "`Sum` at node Sum computes with the number of rows",
        SHAPE,
    ),
    "a condition on the number of rows": (
        lambda x: tf.where(tf.shape(x)[0] > 1, x, -x),
        "`Greater` at node Greater computes with the number of rows",
        SHAPE,
    ),
    "place in the batch": (
        lambda x: x + tf.range(tf.cast(tf.shape(x)[0], tf.float32))[:, None],
        "computes with the number of rows",
        SHAPE,
    ),
    "as many as a constant": (lambda x: x * tf.ones([2, 4]), "treats rows by their place in the batch", SHAPE),
    "a condition by place": (
        lambda x: tf.raw_ops.Select(condition=[True, False, True, False], x=x, y=-x),
        "brings different rows together",
        SHAPE,
    ),
    "rows as columns": (lambda x: x + tf.reduce_sum(x, 1), "brings different rows together", SHAPE),
    "softmax over rows": (lambda x: tf.nn.softmax(tf.reduce_sum(x, 1)), "compares rows with each other", SHAPE),
    "the first row": (lambda x: x - x[0], "takes some of the rows, or moves their axis", SHAPE),
    "every other row": (lambda x: x - x[::1][:1], "takes some of the rows", SHAPE),
    "rows turned round": (lambda x: tf.reverse(x, [0]), "turns the order of the rows round", SHAPE),
    "rows of rows": (lambda x: x @ tf.transpose(x) @ x, "moves the axis of the rows", SHAPE),
    "rows times rows": (lambda x: tf.matmul(x, x, transpose_a=True), "takes rows where it must not", SHAPE),
    "sum over rows by letters": (lambda x: tf.einsum("bi->i", x), "adds up rows", SHAPE),
    "rows regrouped": (lambda x: tf.reshape(x, [-1, 8]), "brings rows together", SHAPE),
    "rows shuffled by shape": (lambda x: tf.reshape(tf.reshape(x, [4, -1]), [-1, 4]), "brings rows together", SHAPE),
    "a size of one squeezed": (lambda x: tf.squeeze(x)[:, None], "may take the axis of the rows away", SHAPE),
    "rows sorted": (lambda x: tf.gather(x, tf.argsort(x[:, 0])), "`TopKV2` at node", SHAPE),
    "rows filtered": (lambda x: tf.boolean_mask(x, x[:, 0] > 0), "`Where` at node", SHAPE),
    "rows numbered": (lambda x: tf.cast(tf.unique(x[:, 0])[1], tf.float32), "`Unique` at node", SHAPE),
    "rows partitioned": (
        lambda x: tf.dynamic_partition(x, tf.cast(x[:, 0] > 0, tf.int32), 2)[0],
        "`DynamicPartition` at node",
        SHAPE,
    ),
    "quantised by the range of all": (
        lambda x: tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0),
        "`QuantizeAndDequantizeV4",
        SHAPE,
    ),
    "a loop": (
        lambda x: tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * 2.0), [0, x])[1],
        "is not among the operations whose rows are known to be apart",
        SHAPE,
    ),
    "a condition on data": (
        lambda x: tf.cond(tf.reduce_max(x) > 1.0, lambda: x, lambda: -x),
        "`Max` at node Max reduces over the rows|is not among the operations",
        SHAPE,
    ),
    "the last row but one output": (lambda x: tf.reduce_sum(x, 0), "reduces over the rows", SHAPE),
    "two for each row": (lambda x: tf.reshape(x, [-1, 2]), "output `y` does not have one entry for each row", SHAPE),
    "nothing of the rows": (lambda x: tf.ones([1]), "output `y` does not go by rows", SHAPE),
    "noise": (lambda x: x + tf.random.normal([4]), "`RandomStandardNormal` at node", SHAPE),
    "an unknown rank": (lambda x: x * 2.0, "the rank of input `x0` is not known", None),
    "a closed first dimension": (lambda x: x * 2.0, "its first dimension is not open", [2, 4]),
    "training": (
        lambda x: tf.compat.v1.nn.fused_batch_norm(x, [1.0], [0.0], is_training=True)[0],
        "normalises over the rows, as in training",
        [None, 2, 2, 1],
    ),
}


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
