"""Random graphs put together from operations, each known to keep rows apart or to mix them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

DIM = 4


@dataclass
class Tensor:
    """A tensor of a graph under construction; `apart` says that its rows are apart by the way it was made."""

    tensor: Any
    apart: bool = True

    @property
    def rank(self) -> int:
        return len(self.tensor.shape)

    @property
    def inner(self) -> list[Any]:
        """The sizes of all dimensions but that of the rows, None for unknown ones."""
        return list(self.tensor.shape.as_list()[1:])


Step = Callable[[Any, Any, Tensor, "Draw"], Any]


class Draw:
    """What a step may choose, read from a tape of numbers: graphs are not made while hypothesis draws."""

    def __init__(self, tape: Iterable[int]) -> None:
        self._tape = iter(tape)

    def below(self, count: int) -> int:
        """A number from 0 on."""
        return next(self._tape, 0) % count

    def one_of(self, *values: Any) -> Any:
        return values[self.below(len(values))]

    def axis(self, x: Tensor) -> int:
        """Any axis but that of the rows, from the front or from the back."""
        axis = 1 + self.below(x.rank - 1)
        return axis if self.below(2) else axis - x.rank

    def weights(self, *shape: int) -> Any:
        return np.random.default_rng(self.below(99)).normal(0, 0.5, shape).astype(np.float32)


@dataclass
class Op:
    """An operation, what it needs and whether it keeps rows apart."""

    name: str
    fits: Callable[[Tensor], bool]
    make: Step
    apart: bool = True


def _known(x: Tensor) -> bool:
    return x.rank >= 2 and None not in x.inner


def _rank(*ranks: int) -> Callable[[Tensor], bool]:
    return lambda x: x.rank in ranks and None not in x.inner


def _any(x: Tensor) -> bool:
    return x.rank >= 1


def _perm(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    inner = list(range(1, t.rank))
    return tf.transpose(x, [0, *d.one_of(inner, inner[::-1])])


def _flatten(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    width = int(np.prod(t.inner))
    kind = d.one_of("minus", "asked", "rest")
    if kind == "minus":
        return tf.reshape(x, [-1, width])
    return tf.reshape(x, [tf.shape(x)[0], width if kind == "asked" else -1])


def _per_step(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    """As a dense layer on sequences: all steps of all rows side by side, and back again."""
    width = t.inner[-1]
    flat = tf.reshape(x, [-1, width])
    shape = tf.concat([tf.shape(x)[:-1], [3]], 0)
    return tf.reshape(tf.matmul(flat, d.weights(width or 1, 3)), shape)


def _attention(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    scores = tf.nn.softmax(tf.matmul(x, x, transpose_b=True))
    equation = d.one_of("", "bij,bjk->bik", "...ij,...jk->...ik")
    return tf.einsum(equation, scores, x) if equation else tf.matmul(scores, x)


def _conv(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    channels = t.inner[-1]
    padding = d.one_of("SAME", "VALID")
    if d.one_of(True, False):
        return tf.nn.conv2d(x, d.weights(2, 2, channels or 1, 3), d.one_of(1, 2), padding)
    return tf.nn.depthwise_conv2d(x, d.weights(2, 2, channels or 1, 1), [1, 1, 1, 1], padding)


def _blocks(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    """As a dilated convolution is made."""
    block = [d.one_of(1, 2), d.one_of(2, 3)]
    edges = [[d.below(2), 0] for _ in block]
    for n in range(2):
        edges[n][1] = -(t.inner[n] + edges[n][0]) % block[n]
    cut = tf.space_to_batch(x, block, edges)
    filtered = tf.nn.conv2d(cut, d.weights(1, 1, t.inner[-1] or 1, 3), 1, "SAME")
    return tf.batch_to_space(filtered, block, d.one_of(edges, [[0, 0], [0, 0]]))


def _batch_norm(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    c = t.inner[-1] or 1
    scale, offset, mean = d.weights(c), d.weights(c), d.weights(c)
    return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, mean, np.square(mean) + 1, is_training=False)[0]


def _train_norm(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    c = t.inner[-1] or 1
    return tf.compat.v1.nn.fused_batch_norm(x, d.weights(c), d.weights(c), is_training=True)[0]


def _layer_norm(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def _function(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    add = d.one_of(0.5, 2.0)
    return tf.function(lambda y: tf.nn.relu(y) + add)(x)


def _ones_for_rows(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    shape = tf.concat([tf.shape(x)[:1], [2]], 0)
    made = d.one_of(
        lambda: tf.fill(shape, 1.5),
        lambda: tf.broadcast_to(tf.constant([[1.0, 2.0]]), shape),
        lambda: tf.tile(tf.constant([[1.0, 2.0]]), [tf.shape(x)[0], 1]),
    )()
    return tf.concat([x, made], 1)


def _lookup(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    ids = tf.cast(tf.clip_by_value(x, 0.0, 3.0), tf.int32)
    return tf.gather(tf.constant(d.weights(5, 2)), ids)


def _one_hot(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    return tf.one_hot(tf.cast(tf.clip_by_value(x, 0.0, 3.0), tf.int32), 4)


def _cut(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    return d.one_of(lambda: x[:, 1:], lambda: x[:, ::2], lambda: x[:, 0:1], lambda: x[..., :2], lambda: x[0:, :2])()


def _stack_and_back(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    parts = tf.unstack(x, axis=1)
    return tf.stack(parts[::-1], axis=1)


def _resize(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    size = d.one_of([5, 5], tf.shape(x)[1:3] * 2)
    return tf.compat.v1.image.resize_bilinear(x, size)


def _pad(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    # TensorFlow's optimiser takes padded channels for none when a convolution follows.
    return tf.pad(x, [[0, 0], [1, 0], *[[0, 0]] * (t.rank - 2)], d.one_of("CONSTANT", "SYMMETRIC"))


def _place_in_batch(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    places = tf.range(tf.cast(tf.shape(x)[0], tf.float32))
    return x + tf.reshape(places, [-1] + [1] * (t.rank - 1))


def _squared(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    rows = tf.shape(x)[0]
    padded = tf.tile(x, [1, rows])
    mixed = tf.reduce_mean(tf.reshape(padded, tf.stack([rows * rows, -1])), 1)
    return x + tf.reshape(mixed, tf.stack([rows, -1]))[:, :1]


def _number_spread(tf: Any, x: Any, t: Tensor, d: Draw) -> Any:
    rows = tf.shape(x)[0]
    return x + tf.cast(tf.broadcast_to(rows, d.one_of([rows, 1], [1, 1])), tf.float32)


APART: list[Op] = [
    Op("relu", _any, lambda tf, x, t, d: d.one_of(tf.nn.relu, tf.tanh, tf.abs, tf.math.erf)(x)),
    Op("scalar", _any, lambda tf, x, t, d: x * d.one_of(0.5, -1.5) + 1.0),
    Op("vector", _known, lambda tf, x, t, d: x + d.weights(t.inner[-1])),
    Op("matrix of one", _rank(2), lambda tf, x, t, d: x * d.weights(1, t.inner[-1])),
    Op("twice", _any, lambda tf, x, t, d: tf.where(x > 0.0, x, x * 0.1)),
    Op("matmul", _rank(2), lambda tf, x, t, d: tf.matmul(x, d.weights(t.inner[-1], DIM))),
    Op("matmul transposed", _rank(2), lambda tf, x, t, d: tf.matmul(x, d.weights(DIM, t.inner[-1]), transpose_b=True)),
    Op("dense on steps", _rank(3), _per_step),
    Op("tensordot", _rank(3), lambda tf, x, t, d: tf.tensordot(x, d.weights(t.inner[-1], 3), 1)),
    Op("attention", _rank(3), _attention),
    Op("convolution", lambda x: _rank(4)(x) and min(s or 0 for s in x.inner) >= 2, _conv),
    Op("pooling", lambda x: _rank(4)(x) and min(s or 0 for s in x.inner) >= 2,
       lambda tf, x, t, d: d.one_of(tf.nn.max_pool2d, tf.nn.avg_pool2d)(x, 2, 2, d.one_of("SAME", "VALID"))),
    Op("blocks", _rank(4), _blocks),
    Op("batch norm", _rank(4), _batch_norm),
    Op("layer norm", _known, _layer_norm),
    Op("resize", _rank(4), _resize),
    Op("softmax", _known, lambda tf, x, t, d: d.one_of(tf.nn.softmax, tf.nn.log_softmax)(x)),
    Op("reduce", _known, lambda tf, x, t, d: d.one_of(tf.reduce_sum, tf.reduce_mean, tf.reduce_max)(
        x, d.axis(t), keepdims=d.one_of(True, False))),
    Op("reduce all inner", _known, lambda tf, x, t, d: tf.reduce_mean(x, list(range(1, t.rank)))),
    Op("transpose", _known, _perm),
    Op("flatten", _known, _flatten),
    Op("expand", _any, lambda tf, x, t, d: tf.expand_dims(x, d.one_of(1, -1))),
    Op("squeeze", lambda x: x.rank >= 2 and x.inner[0] == 1, lambda tf, x, t, d: tf.squeeze(x, [1])),
    Op("join", _known, lambda tf, x, t, d: tf.concat([x, tf.square(x)], d.axis(t))),
    Op("stack", _any, lambda tf, x, t, d: tf.stack([x, -x], d.one_of(1, -1))),
    Op("unstack", lambda x: _known(x) and (x.inner[0] or 0) <= 8, _stack_and_back),
    Op("split", lambda x: _known(x) and (x.inner[-1] or 1) % 2 == 0,
       lambda tf, x, t, d: tf.add(*tf.split(x, 2, -1))),
    Op("cut", lambda x: _known(x) and (x.inner[0] or 0) >= 2, _cut),
    Op("pad", _known, _pad),
    Op("running", _known, lambda tf, x, t, d: tf.cumsum(x, d.axis(t))),
    Op("reverse", _known, lambda tf, x, t, d: tf.reverse(x, [d.axis(t)])),
    Op("roll", _known, lambda tf, x, t, d: tf.roll(x, 1, d.axis(t))),
    Op("gather columns", _known, lambda tf, x, t, d: tf.gather(x, [0, 0], axis=1)),
    Op("lookup", lambda x: x.rank <= 3, _lookup),
    Op("one hot", lambda x: x.rank <= 3, _one_hot),
    Op("arg max", _rank(2, 3), lambda tf, x, t, d: tf.cast(tf.argmax(x, -1), tf.float32)),
    Op("top", _known, lambda tf, x, t, d: tf.math.top_k(x, 1)[0]),
    Op("tile columns", _rank(2), lambda tf, x, t, d: tf.tile(x, [1, 2])),
    Op("made for rows", _rank(2), _ones_for_rows),
    Op("function", _any, _function),
    Op("checked", _any, lambda tf, x, t, d: tf.debugging.check_numerics(tf.identity(x), "not a number")),
]  # fmt: skip

MIXING: list[Op] = [
    Op("mean over rows", _any, lambda tf, x, t, d: x - tf.reduce_mean(x, 0), apart=False),
    Op("largest of all", _any, lambda tf, x, t, d: x / (1.0 + tf.reduce_max(tf.abs(x))), apart=False),
    Op("softmax over rows", _any, lambda tf, x, t, d: tf.nn.softmax(x, 0), apart=False),
    Op("running over rows", _any, lambda tf, x, t, d: tf.cumsum(x, 0), apart=False),
    Op("reverse rows", _any, lambda tf, x, t, d: tf.reverse(x, [0]), apart=False),
    Op("roll rows", _any, lambda tf, x, t, d: tf.roll(x, 1, 0), apart=False),
    Op("training", _rank(4), _train_norm, apart=False),
    Op("square of the number of rows", _rank(2), _squared, apart=False),
    Op("number of rows spread", _rank(2), _number_spread, apart=False),
    Op("number of rows", _any, lambda tf, x, t, d: x / tf.cast(tf.shape(x)[0], tf.float32), apart=False),
    Op("place in batch", _any, _place_in_batch, apart=False),
    Op("other rows", _rank(2), lambda tf, x, t, d: tf.matmul(tf.matmul(x, x, transpose_b=True), x), apart=False),
    Op("first row", _any, lambda tf, x, t, d: x - x[:1], apart=False),
    Op("sorted rows", _rank(2), lambda tf, x, t, d: tf.gather(x, tf.argsort(x[:, 0])), apart=False),
    Op("mixed by reshape", _rank(2), lambda tf, x, t, d: tf.reshape(tf.transpose(x), tf.shape(x)), apart=False),
    Op("against the wrong axis", lambda x: x.rank == 2, lambda tf, x, t, d: x + tf.reshape(
        tf.reduce_sum(x, 1)[: tf.shape(x)[0]], [1, -1])[:, :1], apart=False),
]  # fmt: skip


@dataclass
class Graph:
    """A graph with a signature, and whether its rows are apart by the way it was made."""

    graph: Any
    meta_graph: Any
    signature: Any
    inputs: list[Any]
    output: Any
    apart: bool
    steps: list[str] = field(default_factory=list)


TAPES = st.lists(st.integers(0, 2**16), min_size=80, max_size=80)


def build(tape: Iterable[int]) -> Graph:
    """A graph of one to eight operations."""
    import tensorflow as tf

    choose = Draw(tape)
    graph = tf.Graph()
    with graph.as_default():
        shape = choose.one_of([DIM], [3, DIM], [6, 6, 2])
        inputs = [tf.compat.v1.placeholder(tf.float32, [None, *shape], name="x")]
        tensors = [Tensor(inputs[0])]
        names = []
        for _ in range(1 + choose.below(8)):
            source = tensors[-1] if choose.below(4) else choose.one_of(*tensors)
            menu = APART if choose.below(12) else MIXING
            op = choose.one_of(*[each for each in menu if each.fits(source)])
            made = op.make(tf, source.tensor, source, choose)
            partners = [other for other in tensors if other.tensor.shape.as_list() == made.shape.as_list()]
            result = Tensor(made, source.apart and op.apart)
            if partners and choose.below(2):
                partner = choose.one_of(*partners)
                result = Tensor(made + partner.tensor, result.apart and partner.apart)
            tensors.append(result)
            names.append(op.name)
            if result.rank < 1 or result.rank > 5 or np.prod([side or 1 for side in result.inner]) > 2000:
                break
        last = tensors[-1]
        output = tf.identity(last.tensor, name="y")
    return with_signature(tf, graph, inputs, output, last.apart, names)


def with_signature(tf: Any, graph: Any, inputs: list[Any], output: Any, apart: bool, names: list[str]) -> Graph:
    from tensorflow.core.protobuf import meta_graph_pb2

    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.CopyFrom(graph.as_graph_def())
    signature = meta_graph.signature_def["serving_default"]
    for number, tensor in enumerate(inputs):
        _describe(signature.inputs[f"x{number}"], tensor)
    _describe(signature.outputs["y"], output)
    return Graph(graph, meta_graph, signature, inputs, output, apart, names)


def _describe(info: Any, tensor: Any) -> None:
    info.name, info.dtype = tensor.name, tensor.dtype.as_datatype_enum
    info.tensor_shape.CopyFrom(tensor.shape.as_proto())
