"""Rules of operations that join tensors, or take parts of them: all rows stay, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from serving.batching.rows.axes import like, spare_rows
from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import ONE, Size, unknown
from serving.batching.rows.values import MOST_CONTENTS, Call, Shape, Value, fixed, holding, known


@kind("join", "Along one axis, not the first, of tensors that all go by rows.", "Concat", "ConcatV2", sizes=True)
def _join(call: Call) -> list[Value]:
    last = len(call.inputs) - 1
    at, parts = (last, range(last)) if call.node.op == "ConcatV2" else (0, range(1, last + 1))
    values = [call.inputs[n] for n in parts]
    if not any(value.by_row for value in values):
        return [_joined_sizes(call, values)]
    shape = call.shape(parts[0])
    axis = call.axis(at, len(shape))
    _all_by_row(call, values)
    if axis == 0:
        call.fail("joins along the rows")
    return [Value((*shape[:axis], _total([call.shape(n)[axis] for n in parts]), *shape[axis + 1 :]), by_row=True)]


def _all_by_row(call: Call, values: Sequence[Value]) -> None:
    if any(not value.by_row or value.shape is None for value in values):
        call.fail("joins rows with what has none")
    if len({value.shape[0] for value in values if value.shape}) > 1:
        call.fail("brings different rows together")


def _total(sizes: Sequence[Size]) -> Size:
    numbers = [size.number for size in sizes]
    return Size(sum(number for number in numbers if number is not None)) if None not in numbers else unknown()


def _joined_sizes(call: Call, values: Sequence[Value]) -> Value:
    """Vectors of whole numbers one behind the other, as shapes are made."""
    vectors = [value.contents for value in values]
    if all(vector is not None and vector.ndim == 1 for vector in vectors):
        sizes = [size for vector in vectors if vector is not None for size in vector]
        if len(sizes) <= MOST_CONTENTS:
            return holding(sizes)
    if any(value.counts_rows for value in values):
        call.fail("makes a shape that is not known before it runs")
    return fixed(_joined_shape(call, values))


def _joined_shape(call: Call, values: Sequence[Value]) -> Shape | None:
    at = len(call.inputs) - 1 if call.node.op == "ConcatV2" else 0
    shapes = [value.shape for value in values]
    if any(shape is None for shape in shapes) or call.inputs[at].contents is None:
        return None
    first = shapes[0] or ()
    axis = call.axis(at, len(first))
    sides = [shape[axis] for shape in shapes if shape is not None]
    return (*first[:axis], _total(sides), *first[axis + 1 :])


@kind("stack", "Along a new axis, not in front, of tensors that all go by rows.", "Pack", sizes=True)
def _stack(call: Call) -> list[Value]:
    if not any(value.by_row for value in call.inputs):
        return [_stacked_sizes(call)]
    shape = call.shape(0)
    axis = call.from_front(call.attr("axis").i, len(shape) + 1)
    _all_by_row(call, call.inputs)
    if axis == 0:
        call.fail("makes a new axis in front of the rows")
    return [Value((*shape[:axis], Size(len(call.inputs)), *shape[axis:]), by_row=True)]


def _stacked_sizes(call: Call) -> Value:
    if all(value.shape == () for value in call.inputs):
        return holding([value.scalar for value in call.inputs])
    call.require_fixed()
    return fixed(None)


@kind("unstack", "Along one axis, not the first.", "Unpack", sizes=True)
def _unstack(call: Call) -> list[Value]:
    shape, count = call.shape(0), call.attr("num").i
    axis = call.from_front(call.attr("axis").i, len(shape))
    spare_rows(call, 0, [axis], "takes rows apart")
    value = call.inputs[0]
    if value.contents is not None and value.contents.ndim == 1:
        return [holding(size) for size in value.contents]
    if value.counts_rows:
        call.fail("makes a shape that is not known before it runs")
    return [like(call, 0, shape[:axis] + shape[axis + 1 :])] * count


@kind("split", "Along one axis, not the first.", "Split", "SplitV")
def _split(call: Call) -> list[Value]:
    at, data = (0, 1) if call.node.op == "Split" else (2, 0)
    shape, count = call.shape(data), call.attr("num_split").i
    axis = call.axis(at, len(shape))
    spare_rows(call, data, [axis], "takes rows apart")
    if call.node.op == "SplitV":
        call.require_fixed(1)
        sides = [known(size) for size in call.sizes(1)]
    else:
        sides = [shape[axis].over(Size(count)) or unknown()] * count
    return [like(call, data, (*shape[:axis], side, *shape[axis + 1 :])) for side in sides]


@kind("pad", "The first axis is not padded.", "MirrorPad", "Pad", "PadV2")
def _pad(call: Call) -> list[Value]:
    shape = call.shape(0)
    call.require_fixed(*range(1, len(call.inputs)))
    if not call.inputs[0].by_row:
        return [fixed(tuple(unknown() for _ in shape))]
    widths = call.inputs[1].contents
    if widths is None or [size.number if size else None for size in widths.flat][:2] != [0, 0]:
        call.fail("adds rows, or it is not known that it does not")
    return [Value((shape[0], *(unknown() for _ in shape[1:])), by_row=True)]


@kind("slice", "All rows, and any part of the other axes.", "Slice", sizes=True)
def _slice(call: Call) -> list[Value]:
    value = call.inputs[0]
    if value.contents is not None and value.contents.ndim == 1 and not value.by_row:
        begin, size = call.numbers(1)[0], call.numbers(2)[0]
        return [holding(value.contents[begin : None if size < 0 else begin + size])]
    shape, begins, sides = call.shape(0), call.sizes(1), call.sizes(2)
    if value.by_row and (begins[0] != Size(0) or sides[0] not in (Size(-1), shape[0])):
        call.fail("takes some of the rows")
    if any(size is not None and size.counts_rows for size in (*begins[1:], *sides[1:])):
        call.fail("depends on the number of rows")
    if not value.by_row:
        call.require_fixed()
    cut = tuple(known(size) for size in sides)
    return [like(call, 0, (shape[0], *cut[1:]) if value.by_row else cut)]


@kind("strided slice", "All rows in their order, and any part of the other axes.", "StridedSlice", sizes=True)
def _strided_slice(call: Call) -> list[Value]:
    value = call.inputs[0]
    if value.contents is not None and not value.by_row:
        return [_part_of_sizes(call, value)]
    if not value.by_row:
        call.require_fixed()
    shape = call.shape(0)
    if value.by_row and not _takes_all_rows(call):
        call.fail("takes some of the rows, or moves their axis")
    for number in (1, 2, 3):
        if call.inputs[number].by_row or not _counts_in_front_only(call, number):
            call.fail("takes a part that depends on the rows")
    return [like(call, 0, _cut(call, shape))]


def _counts_in_front_only(call: Call, number: int) -> bool:
    """Whether at most the bound for the axis of the rows counts them, which is not looked at."""
    return not any(size is not None and size.counts_rows for size in call.sizes(number)[1:])


def _mask(call: Call, name: str) -> int:
    return int(call.attr(name).i)


def _takes_all_rows(call: Call) -> bool:
    """Whether the first entry leaves the axis of the rows as it is."""
    if _mask(call, "ellipsis_mask") & 1:
        # `...` in front covers the rows unless the other entries cover all axes.
        entries = len(call.sizes(1))
        new = sum(_mask(call, "new_axis_mask") >> n & 1 for n in range(1, entries))
        return len(call.shape(0)) > entries - 1 - new
    moved = (_mask(call, "shrink_axis_mask") | _mask(call, "new_axis_mask")) & 1
    return not moved and bool(call.sizes(1)) and _takes_whole_axis(call, 0)


def _side(call: Call, entry: int, side: Size) -> Size:
    """How much one entry leaves of an axis, unknown where that is not certain before it runs."""
    if _takes_whole_axis(call, entry):
        return side
    begin, end, step = (_number(call.sizes(number)[entry]) for number in (1, 2, 3))
    begin = None if _mask(call, "begin_mask") >> entry & 1 else begin
    end_is_open = _mask(call, "end_mask") >> entry & 1
    if side.number is None or not step or (end is None and not end_is_open):
        return unknown()
    if begin is None and not _mask(call, "begin_mask") >> entry & 1:
        return unknown()
    return Size(len(range(*slice(begin, None if end_is_open else end, step).indices(side.number))))


def _number(size: Size | None) -> int | None:
    return None if size is None else size.number


def _takes_whole_axis(call: Call, entry: int) -> bool:
    from_start = _mask(call, "begin_mask") >> entry & 1 or call.sizes(1)[entry] == Size(0)
    return bool(from_start and _mask(call, "end_mask") >> entry & 1 and call.sizes(3)[entry] == ONE)


def _cut(call: Call, shape: Shape) -> Shape:
    """The shape that is left; sizes that depend on bounds count as unknown."""
    entries, masks = len(call.sizes(1)), {name: _mask(call, f"{name}_mask") for name in _MASKS}
    sides: list[Size] = []
    axis = 0
    for n in range(entries):
        if masks["ellipsis"] >> n & 1:
            later = sum(not masks["new_axis"] >> m & 1 for m in range(n + 1, entries))
            sides += shape[axis : len(shape) - later]
            axis = len(shape) - later
        elif masks["new_axis"] >> n & 1:
            sides.append(ONE)
        else:
            if not masks["shrink_axis"] >> n & 1:
                sides.append(_side(call, n, shape[axis]))
            axis += 1
    return (*sides, *shape[axis:])


_MASKS: Final = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")


def _part_of_sizes(call: Call, value: Value) -> Value:
    """A part of a vector of whole numbers, as shapes are taken apart."""
    contents = value.contents
    assert contents is not None
    if contents.ndim != 1 or any(len(call.sizes(n)) != 1 for n in (1, 2, 3)):
        if value.counts_rows:
            call.fail("makes a shape that is not known before it runs")
        return fixed(None)
    # Of each mask, only the bit of the one entry counts.
    if (_mask(call, "ellipsis_mask") | _mask(call, "new_axis_mask")) & 1:
        call.fail("makes a shape that is not known before it runs")
    begin, end, step = (call.numbers(n)[0] for n in (1, 2, 3))
    if _mask(call, "shrink_axis_mask") & 1:
        return holding(contents[begin])
    first = None if _mask(call, "begin_mask") & 1 else begin
    return holding(contents[first : None if _mask(call, "end_mask") & 1 else end : step])
