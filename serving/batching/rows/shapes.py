"""Rules of operations that ask for shapes, make tensors of them, or arrange what is there anew."""

from __future__ import annotations

from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import ANY, ONE, ROWS, Size, product, unknown
from serving.batching.rows.values import MOST_CONTENTS, Call, Shape, Value, fixed, holding, known, per_row


@kind("shape", "How large a tensor is.", "Shape", "ShapeN", sizes=True)
def _shape(call: Call) -> list[Value]:
    return [fixed((unknown(),)) if value.shape is None else holding(list(value.shape)) for value in call.inputs]


@kind("shape", "How large a tensor is.", "Size", "Rank", sizes=True)
def _size(call: Call) -> list[Value]:
    shape = call.inputs[0].shape
    if shape is None:
        call.require_fixed()
        return [fixed(())]
    return [holding(product(shape) if call.node.op == "Size" else Size(len(shape)))]


@kind(
    "reshape",
    "Each row's numbers stay together: the new shape goes by rows in front, whatever follows.",
    "Reshape",
    sizes=True,
)
def _reshape(call: Call) -> list[Value]:
    value = call.inputs[0]
    if not value.by_row:
        return [_rearranged(call, value)]
    sides = call.sizes(1)
    if not sides or sides[0] is None:
        call.fail("makes a shape that is not known before it runs")
    if any(side is not None and side.counts_rows for side in sides[1:]):
        call.fail("moves the axis of the rows")
    front = sides[0]
    if front == ANY:
        front = ROWS * _share_in_front(call, sides[1:])
    elif front.for_each_row is None:
        call.fail("brings rows together, or takes them apart")
    return [Value((front, *(known(side) for side in sides[1:])), by_row=True)]


def _share_in_front(call: Call, sides: list[Size | None]) -> Size:
    """How many entries of the first dimension each row has, where that is left to be found out."""
    rest = [side for side in sides if side is not None and side != ANY]
    share = per_row(call.shape(0)).over(product(tuple(rest))) if len(rest) == len(sides) else None
    if share is None:
        call.fail("brings rows together, or it is not known that it does not")
    return share


def _rearranged(call: Call, value: Value) -> Value:
    if call.inputs[1].by_row or call.inputs[1].counts_rows:
        call.fail("depends on the rows")
    wanted = call.inputs[1].contents
    if wanted is None:
        if value.counts_rows:
            call.fail("makes a shape that is not known before it runs")
        return fixed(None)
    sides = [size.number if size is not None else None for size in wanted.flat]
    if value.contents is not None and None not in sides:
        return holding(value.contents.reshape([side for side in sides if side is not None]))
    if value.counts_rows:
        call.fail("makes a shape that is not known before it runs")
    return fixed(_with_rest(value.shape, [known(size) if size != ANY else None for size in wanted.flat]))


def _with_rest(before: Shape | None, sides: list[Size | None]) -> Shape:
    """The sides, the one that is left to be found out among them."""
    named = product(tuple(side for side in sides if side is not None))
    rest = product(before).over(named) if before is not None else None
    return tuple(side or rest or unknown() for side in sides)


@kind("fill", "One value in each place; rows that are all alike where the shape goes by rows.", "Fill", sizes=True)
def _fill(call: Call) -> list[Value]:
    call.require_fixed(1)
    if call.inputs[0].contents is None:
        call.require_fixed()
        return [fixed(None)]
    return [_of_shape(call, call.sizes(0))]


def _of_shape(call: Call, sides: list[Size | None]) -> Value:
    """The same everywhere, in a shape that may go by rows in front."""
    if any(side is not None and side.counts_rows for side in sides[1:]):
        call.fail("moves the axis of the rows")
    front = sides[0] if sides else None
    by_row = front is not None and front.counts_rows
    if by_row and front is not None and front.for_each_row is None:
        call.fail("computes with the number of rows")
    return Value(tuple(known(side) for side in sides), by_row)


@kind("broadcast", "The first dimension goes by rows already, or has a size of one.", "BroadcastTo", sizes=True)
def _broadcast(call: Call) -> list[Value]:
    value, shape = call.inputs[0], call.shape(0)
    if value.counts_rows:
        call.fail("computes with the number of rows")
    if call.inputs[1].contents is None and not value.by_row:
        call.require_fixed()
        return [fixed(None)]
    result = _of_shape(call, call.sizes(1))
    assert result.shape is not None
    if value.by_row and (len(shape) != len(result.shape) or not result.by_row or shape[0] != result.shape[0]):
        call.fail("brings different rows together")
    if result.by_row and not value.by_row and len(shape) == len(result.shape) and shape[0] != ONE:
        call.fail("treats rows by their place in the batch")
    return [result]


@kind(
    "tile", "The rows are not repeated; what is the same for all may be repeated once for each row.", "Tile", sizes=True
)
def _tile(call: Call) -> list[Value]:
    value, shape = call.inputs[0], call.shape(0)
    if call.inputs[1].contents is None and not value.by_row:
        call.require_fixed()
        return [fixed(None)]
    times = call.sizes(1)
    if value.by_row:
        if not times or times[0] != ONE:
            call.fail("repeats rows, or it is not known that it does not")
        front = shape[0]
    else:
        if value.counts_rows or (times and times[0] is not None and times[0].counts_rows and shape[0] != ONE):
            call.fail("treats rows by their place in the batch")
        front = shape[0] * times[0] if times and times[0] is not None else unknown()
    inner = [side * number if number is not None else None for side, number in zip(shape[1:], times[1:], strict=False)]
    return [Value(_of_shape(call, [front, *inner]).shape, value.by_row or front.counts_rows)] if shape else [value]


@kind("range", "From numbers that are the same for all rows.", "LinSpace", "Range")
def _range(call: Call) -> list[Value]:
    call.require_fixed()
    bounds = [value.scalar.number if value.scalar is not None else None for value in call.inputs]
    if call.node.op == "Range" and all(bound is not None for bound in bounds) and bounds[2]:
        numbers = range(*(bound for bound in bounds if bound is not None))
        if len(numbers) <= MOST_CONTENTS:
            return [holding([Size(number) for number in numbers])]
        return [fixed((Size(len(numbers)),))]
    return [fixed((unknown(),))]
