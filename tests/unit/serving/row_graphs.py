"""Small graphs that keep rows apart, and such that mix them with the reason that is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Make = Callable[[Any], Any]
SHAPE = [None, 4]


def shape_of(x: Any) -> Any:
    return tf.shape(x)


def rows_of(x: Any) -> Any:
    return tf.shape(x)[0]


def _blocks(x: Any) -> Any:
    """As a dilated convolution is made."""
    cut = tf.space_to_batch(x, [2, 2], [[0, 1], [1, 0]])
    filtered = tf.nn.conv2d(cut, np.ones((2, 2, 2, 3), np.float32), 1, "VALID")
    return tf.reshape(tf.batch_to_space(filtered, [2, 2], [[0, 0], [0, 0]]), [-1, 108])


def _squared(x: Any) -> Any:
    """As many entries as the square of the number of rows, and back."""
    many = tf.reshape(x, tf.stack([rows_of(x) * rows_of(x), -1]))
    return tf.reshape(tf.reduce_sum(many, 1), [rows_of(x), -1])


def _masks_of_no_entry(x: Any) -> Any:
    """Makes [4] of the shape [rows, 4, 4]; bits of a mask that stand for no entry count for nothing."""
    part = tf.raw_ops.StridedSlice(input=tf.shape(x), begin=[1], end=[2], strides=[1], begin_mask=2)
    return tf.reshape(tf.nn.softmax(tf.reshape(x, tf.concat([part, [-1]], 0))), [rows_of(x), 4, 4])


def _dots_over_nothing(x: Any) -> Any:
    """The `...` in front covers no axis, as the entries behind it name all."""
    ends: dict[str, Any] = {"begin": [0, 0, 0], "end": [0, 1, 4], "strides": [1, 1, 1]}
    return x - tf.raw_ops.StridedSlice(input=x, **ends, ellipsis_mask=1, new_axis_mask=1)


def _pool_over_channels(x: Any) -> Any:
    pooled = tf.raw_ops.MaxPool(input=x, ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="VALID")
    return tf.reshape(pooled, [-1, 4])


def _as_high_as_rows(x: Any) -> Any:
    """Of two sizes, the first one is the height."""
    made = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.stack([rows_of(x), 2]),
        filter=np.ones((1, 1, 1, 1), np.float32),
        out_backprop=x,
        strides=[1, 64, 64, 1],
        padding="SAME",
    )
    return tf.reduce_sum(made, [1, 2, 3])


def _stored(x: Any) -> Any:
    """The handle of a variable is one entry, whatever the variable holds."""
    handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[4], shared_name="v")
    return tf.reshape(x, tf.stack([-1, tf.reduce_prod(tf.raw_ops.Shape(input=handle))]))


def _doubled(x: Any) -> Any:
    """A vector that is far longer than any memory, were it made."""
    vector = tf.constant([1] * 64)
    for _ in range(40):
        vector = tf.concat([vector, vector], 0)
    return x * tf.cast(vector[:1], tf.float32)


def _squared_again(x: Any) -> Any:
    side = tf.shape(x)[1]
    for _ in range(40):
        side = side * side
    return x * tf.ones([side])


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
    "einsum of any rank": (lambda x: tf.einsum("...j,jk->...k", x, W), [None, 2, 4], tf.float32),
    "einsum with one matrix for all": (lambda x: tf.einsum("...ij,...jk->...ik", x, W), [None, 2, 4], tf.float32),
    "blocks and back": (_blocks, [None, 7, 7, 2], tf.float32),
    "the same bits": (lambda x: tf.bitcast(x, tf.int32) & 1, SHAPE, tf.float32),
    "resized smoothly": (
        lambda x: tf.image.resize(x, [3, 3], antialias=True),
        [None, 6, 6, 3],
        tf.float32,
    ),
    "a shape with any number of rows": (lambda x: tf.ensure_shape(x, [None, 4]), SHAPE, tf.float32),
    "whole numbers as text": (lambda x: tf.strings.as_string(x), [None], tf.int32),
    "whole numbers made narrow": (lambda x: tf.cast(x, tf.uint8), [None], tf.int32),
    "compared to one number": (
        lambda x: tf.raw_ops.Equal(x=x, y=0.0, incompatible_shape_error=False),
        SHAPE,
        tf.float32,
    ),
    "a long vector": (_doubled, SHAPE, tf.float32),
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
    "axes counted from the back": (
        lambda x: tf.transpose(tf.transpose(x, [0, -1, 1]), [0, 2, 1]),
        "`Transpose` at node transpose counts axes from the back",
        [None, 2, 4],
    ),
    "rows of rows": (lambda x: x @ tf.transpose(x) @ x, "moves the axis of the rows", SHAPE),
    "rows times rows": (lambda x: tf.matmul(x, x, transpose_a=True), "takes rows where it must not", SHAPE),
    "sum over rows by letters": (lambda x: tf.einsum("bi->i", x), "adds up rows", SHAPE),
    "rows regrouped": (lambda x: tf.reshape(x, [-1, 8]), "brings rows together", SHAPE),
    "rows shuffled by shape": (lambda x: tf.reshape(tf.reshape(x, [4, -1]), [-1, 4]), "brings rows together", SHAPE),
    "as many entries as rows times rows": (_squared, "brings rows together", SHAPE),
    "rows times rows filled": (
        lambda x: tf.reshape(tf.fill([rows_of(x) * rows_of(x)], 1.0), [rows_of(x), -1]),
        "`Fill` at node Fill computes with the number of rows",
        SHAPE,
    ),
    "more rows than whole numbers hold": (
        lambda x: tf.reshape(x, tf.stack([rows_of(x) * 1431655765, 12])),
        "`Mul` at node mul computes with the number of rows",
        [None, 8],
    ),
    "more rows than their product holds": (
        lambda x: tf.reshape(x, tf.stack([tf.reduce_prod(tf.stack([rows_of(x), 1431655765])), 12])),
        "`Prod` at node Prod computes with the number of rows",
        [None, 8],
    ),
    "the number of rows spread out": (
        lambda x: x + tf.cast(tf.broadcast_to(rows_of(x), [rows_of(x), 1]), tf.float32),
        "`BroadcastTo` at node BroadcastTo computes with the number of rows",
        SHAPE,
    ),
    "sizes spread out": (
        lambda x: x + tf.cast(tf.broadcast_to(tf.shape(x), [3, 2])[0, :1], tf.float32),
        "`BroadcastTo` at node BroadcastTo computes with the number of rows",
        SHAPE,
    ),
    "a number of rows asked for": (
        lambda x: tf.raw_ops.EnsureShape(input=x, shape=[3, 4]),
        "asks for a number of rows",
        SHAPE,
    ),
    "compared as a whole": (
        lambda x: tf.raw_ops.Equal(x=x, y=tf.zeros([3]), incompatible_shape_error=False),
        "answers once for all rows",
        SHAPE,
    ),
    "masks of no entry": (_masks_of_no_entry, "brings rows together", [None, 4, 4]),
    "dots over nothing": (_dots_over_nothing, "takes some of the rows", SHAPE),
    "channels pooled": (_pool_over_channels, "has windows of several channels", [None, 1, 1, 4]),
    "strides that differ": (
        lambda x: tf.raw_ops.DepthwiseConv2dNative(
            input=x, filter=np.ones((2, 2, 2, 1), np.float32), strides=[1, 1, 3, 1], padding="SAME"
        ),
        "`DepthwiseConv2dNative` at node DepthwiseConv2dNative has strides that differ",
        [None, 4, 4, 2],
    ),
    "as high as rows": (_as_high_as_rows, "is not known before it runs", [None, 1, 1, 1]),
    "blocks of rows": (
        lambda x: tf.batch_to_space(x, [2], [[0, 0]]),
        "brings rows together, or takes them apart",
        [None, 2, 2],
    ),
    "blocks left as they are": (
        lambda x: tf.reshape(tf.space_to_batch(x, [2], [[0, 0]]), [-1, 8]),
        "`Reshape` at node Reshape takes rows that are cut into blocks",
        [None, 4, 2],
    ),
    "other blocks back": (
        lambda x: tf.batch_to_space(tf.space_to_batch(x, [4, 1], [[0, 0], [0, 0]]), [2, 1], [[0, 0], [0, 0]]),
        "brings rows together, or takes them apart",
        [None, 4, 4, 1],
    ),
    "what does not fit a narrow type": (lambda x: tf.cast(x, tf.uint8), "by their place in the batch", SHAPE),
    "fractions as text": (lambda x: tf.strings.as_string(x), "whose last digits depend on their place", SHAPE),
    "parts of numbers": (lambda x: tf.bitcast(x, tf.uint8), "makes numbers of parts of others", SHAPE),
    "dots for other axes": (lambda x: tf.einsum("...i,...i->...", x, x[0]), "takes some of the rows", SHAPE),
    "dots for the rows of a constant": (
        lambda x: tf.einsum("...i,...i->...", x, tf.ones([3, 4])),
        "adds up rows, or brings different ones together",
        SHAPE,
    ),
    "complex numbers": (
        lambda x: tf.math.real(tf.complex(x, x) / tf.complex(x, 0.0)),
        "`Complex` at node \\S+ computes with complex numbers",
        SHAPE,
    ),
    "complex numbers that rows name": (
        lambda x: tf.math.abs(tf.gather(tf.complex([1.0, 2.0], 3.0), tf.cast(x, tf.int32)) * 1e30),
        "`GatherV2` at node GatherV2 computes with complex numbers",
        SHAPE,
    ),
    "the shape of a handle": (_stored, "output `y` does not have one entry for each row", SHAPE),
    "sizes without end": (_squared_again, "makes a size that is too large to be followed", [None, None]),
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
