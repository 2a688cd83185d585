"""Rules of operations that work along axes: all but the first one of what goes by rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import ONE, Size
from serving.batching.rows.values import Call, Shape, Value, fixed, holding, known

Axes = Sequence[int]


def spare_rows(call: Call, number: int, axes: Axes, does: str) -> None:
    """Give up when an input goes by rows and one of `axes` is the one of the rows."""
    if call.inputs[number].by_row and 0 in axes:
        call.fail(does)


def like(call: Call, number: int, shape: Shape) -> Value:
    """A result that goes by rows if the input does, in the same order."""
    return Value(shape, call.inputs[number].by_row, blocks=call.inputs[number].blocks)


@kind("reduction", "Over named axes, the first not among them.",
      "All", "Any", "EuclideanNorm", "Max", "Mean", "Min", "Prod", "Sum", sizes=True)  # fmt: skip
def _reduction(call: Call) -> list[Value]:
    value = call.inputs[0]
    if call.node.op == "Prod" and value.contents is not None:
        return [_product_of_sizes(call, value)]
    if any(each.counts_rows for each in call.inputs):
        call.fail("computes with the number of rows")
    if value.shape is None and not value.by_row:
        return [fixed(None)]
    shape = call.shape(0)
    axes = {call.from_front(axis, len(shape)) for axis in call.numbers(1)}
    spare_rows(call, 0, sorted(axes), "reduces over the rows")
    keep = call.attr("keep_dims").b
    sides = [ONE if n in axes else side for n, side in enumerate(shape) if keep or n not in axes]
    return [like(call, 0, tuple(sides))]


def _product_of_sizes(call: Call, value: Value) -> Value:
    assert value.contents is not None
    result: Size | None = ONE
    for size in value.contents.flat:
        result = result * size if result is not None and size is not None else None
    result = None if result is None or result.may_wrap else result
    over_all = value.contents.ndim == 1 and call.numbers(1) in ([0], [-1]) and not call.attr("keep_dims").b
    if value.counts_rows and (result is None or not over_all):
        call.fail("computes with the number of rows")
    return holding(result) if over_all else fixed(None)


@kind("arg max", "Along one axis, not the first.", "ArgMax", "ArgMin")
def _arg_max(call: Call) -> list[Value]:
    shape = call.shape(0)
    axis = call.axis(1, len(shape))
    spare_rows(call, 0, [axis], "compares rows with each other")
    return [like(call, 0, shape[:axis] + shape[axis + 1 :])]


@kind("softmax", "Along the last axis, of at least two.", "LogSoftmax", "Softmax")
def _softmax(call: Call) -> list[Value]:
    shape = call.shape(0)
    spare_rows(call, 0, [len(shape) - 1], "compares rows with each other")
    return [like(call, 0, shape)]


@kind("top k", "Along the last axis, of at least two.", "TopK", "TopKV2")
def _top(call: Call) -> list[Value]:
    shape = call.shape(0)
    spare_rows(call, 0, [len(shape) - 1], "compares rows with each other")
    if len(call.inputs) > 1:
        call.require_fixed(1)
    many = known(call.inputs[1].scalar) if len(call.inputs) > 1 else Size(call.attr("k").i)
    found = like(call, 0, (*shape[:-1], many))
    return [found, found]


@kind("running total", "Along one axis, not the first.", "Cumprod", "Cumsum", "CumulativeLogsumexp")
def _running(call: Call) -> list[Value]:
    shape = call.shape(0)
    spare_rows(call, 0, [call.axis(1, len(shape))], "adds up rows")
    return [like(call, 0, shape)]


@kind("reverse", "Along named axes, the first not among them.", "ReverseV2")
def _reverse(call: Call) -> list[Value]:
    shape = call.shape(0)
    axes = [call.from_front(axis, len(shape)) for axis in call.numbers(1)]
    spare_rows(call, 0, axes, "turns the order of the rows round")
    return [like(call, 0, shape)]


@kind("roll", "Along named axes, the first not among them.", "Roll")
def _roll(call: Call) -> list[Value]:
    shape = call.shape(0)
    call.require_fixed(1)
    axes = [call.from_front(axis, len(shape)) for axis in call.numbers(2)]
    spare_rows(call, 0, axes, "moves rows")
    return [like(call, 0, shape)]


@kind("transpose", "The first axis stays the first.", "Transpose")
def _transpose(call: Call) -> list[Value]:
    shape = call.shape(0)
    order = call.numbers(1)
    if any(not 0 <= axis < len(shape) for axis in order):
        call.fail("counts axes from the back, for which TensorFlow reads foreign memory")
    if call.inputs[0].by_row and (not order or order[0] != 0):
        call.fail("moves the axis of the rows")
    return [like(call, 0, tuple(shape[axis] for axis in order))]


@kind("expand", "A new axis, not in front.", "ExpandDims", sizes=True, blocks=True)
def _expand(call: Call) -> list[Value]:
    value, shape = call.inputs[0], call.shape(0)
    axis = call.axis(1, len(shape) + 1)
    if value.by_row and axis == 0:
        call.fail("makes a new axis in front of the rows")
    if value.contents is not None:
        return [holding(np.expand_dims(value.contents, axis))]
    return [like(call, 0, (*shape[:axis], ONE, *shape[axis:]))]


@kind("squeeze", "Named axes of size one, the first not among them.", "Squeeze", sizes=True, blocks=True)
def _squeeze(call: Call) -> list[Value]:
    value, shape = call.inputs[0], call.shape(0)
    axes = {call.from_front(axis, len(shape)) for axis in call.attr("squeeze_dims").list.i}
    if value.by_row and (not axes or 0 in axes):
        call.fail("may take the axis of the rows away")
    if value.contents is not None:
        return [holding(np.squeeze(value.contents, tuple(axes) or None))]
    if not axes and any(side.number is None for side in shape):
        return [fixed(None)]
    axes = axes or {n for n, side in enumerate(shape) if side == ONE}
    return [like(call, 0, tuple(side for n, side in enumerate(shape) if n not in axes))]


@kind("one hot", "A new axis, not in front.", "OneHot")
def _one_hot(call: Call) -> list[Value]:
    call.require_fixed(1, 2, 3)
    shape = call.shape(0)
    axis = call.from_front(call.attr("axis").i, len(shape) + 1)
    if call.inputs[0].by_row and axis == 0:
        call.fail("makes a new axis in front of the rows")
    side = known(call.inputs[1].scalar)
    return [like(call, 0, (*shape[:axis], side, *shape[axis:]))]


@kind("matrix parts", "Of the last two axes, the first not among them.", "MatrixBandPart")
def _matrix_part(call: Call) -> list[Value]:
    shape = call.shape(0)
    call.require_fixed(1, 2)
    if call.inputs[0].by_row and len(shape) < 3:
        call.fail("treats rows by their place in the batch")
    return [like(call, 0, shape)]
