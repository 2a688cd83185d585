"""Rules of what networks are made of: products with weights, convolutions, pooling, normalisation, resizing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import ONE, Size, unknown
from serving.batching.rows.values import Call, Shape, Value, broadcast, fixed


def _by_row(call: Call, shape: Shape | None) -> list[Value]:
    """The one result, which goes by rows if the first input does."""
    if not call.inputs[0].by_row:
        return [fixed(shape)]
    assert shape is not None
    return [Value(shape, by_row=True, blocks=call.inputs[0].blocks)]


@kind("matrix product", "Rows on the left, not transposed; what is on the right is the same for all.", "MatMul")
def _matrix_product(call: Call) -> list[Value]:
    call.require_fixed(1)
    if call.inputs[0].by_row and call.attr("transpose_a").b:
        call.fail("adds up rows")
    if call.inputs[0].shape is None or call.inputs[1].shape is None:
        return _by_row(call, (*call.shape(0)[:1], unknown()) if call.inputs[0].by_row else None)
    left, right = call.shape(0)[1 if call.attr("transpose_a").b else 0], call.shape(1)
    return _by_row(call, (left, right[0 if call.attr("transpose_b").b else 1]))


@kind("batched matrix product", "Of the last two axes, of at least three where it goes by rows.",
      "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")  # fmt: skip
def _batched_product(call: Call) -> list[Value]:
    left, right = call.inputs[:2]
    if left.counts_rows or right.counts_rows:
        call.fail("computes with the number of rows")
    if left.shape is None or right.shape is None:
        call.require_fixed()
        return [fixed(None)]
    heights = left.shape[-1 if call.attr("adj_x").b else -2], right.shape[-2 if call.attr("adj_y").b else -1]
    outer = _outer_axes(call, left, right)
    return [Value((*outer, *heights), left.by_row or right.by_row)]


def _outer_axes(call: Call, left: Value, right: Value) -> Shape:
    """The axes before the last two, with that of the rows in front."""
    assert left.shape is not None and right.shape is not None
    rank = max(len(left.shape), len(right.shape))
    for side in (left, right):
        assert side.shape is not None
        if side.by_row and (len(side.shape) != rank or rank < 3):
            call.fail("adds up rows, or brings different ones together")
        if not side.by_row and (left.by_row or right.by_row) and len(side.shape) == rank and side.shape[0] != ONE:
            # Of rank two it would be the weights, and the rows would have only the two axes of the product as well.
            call.fail("treats rows by their place in the batch")
    if left.by_row and right.by_row and left.shape[0] != right.shape[0]:
        call.fail("brings different rows together")
    return broadcast(left.shape[:-2], right.shape[:-2])


@kind("sum of products", "All that goes by rows has the same letter in front, the result too; nothing else has it.",
      "Einsum")  # fmt: skip
def _sum_of_products(call: Call) -> list[Value]:
    if not any(value.by_row for value in call.inputs):
        call.require_fixed()
        return [fixed(None)]
    terms, _, result = call.attr("equation").s.decode("ascii", "replace").replace(" ", "").partition("->")
    letters, result = _without_dots(call, terms.split(","), result)
    row = {term[:1] for term, value in zip(letters, call.inputs, strict=True) if value.by_row}
    others = "".join(term for term, value in zip(letters, call.inputs, strict=True) if not value.by_row)
    inner = "".join(term[1:] for term in letters)
    if len(row) != 1 or "" in row or not row <= {result[:1]} or row & set(others + inner + result[1:]):
        call.fail("adds up rows, or brings different ones together")
    return [_result_of(call, letters, result)]


def _without_dots(call: Call, terms: Sequence[str], result: str) -> tuple[list[str], str]:
    """The equation with letters for `...`, which stands for as many axes as there are, aligned at their last ones."""
    if len(terms) != len(call.inputs):
        call.fail("has an equation that is not followed")
    covered = [len(call.shape(n)) - len(term.replace("...", "")) for n, term in enumerate(terms)]
    most = max([count for count, term in zip(covered, terms, strict=True) if "..." in term], default=0)
    dots = "".join(chr(0x100 + n) for n in range(most))
    letters = [term.replace("...", dots[most - count :]) for term, count in zip(terms, covered, strict=True)]
    if any(len(term) != len(call.shape(n)) for n, term in enumerate(letters)):
        call.fail("has an equation that is not followed")
    return letters, result.replace("...", dots)


def _result_of(call: Call, letters: Sequence[str], result: str) -> Value:
    sides: dict[str, Size] = {}
    for term, value in zip(letters, call.inputs, strict=True):
        if value.counts_rows:
            call.fail("depends on the number of rows")
        for letter, side in zip(term, value.shape or (), strict=False):
            same = sides.get(letter, side)
            if value.by_row and letter == result[0] and same != side:
                call.fail("brings different rows together")
            (sides[letter],) = broadcast((same,), (side,))
    return Value(tuple(sides.get(letter) or unknown() for letter in result), by_row=True)


@kind("convolution", "With weights that are the same for all rows.",
      "Conv2D", "Conv3D", "DepthwiseConv2dNative", blocks=True)  # fmt: skip
def _convolution(call: Call) -> list[Value]:
    call.require_fixed(1)
    if not call.inputs[0].by_row:
        return [fixed(None)]
    depthwise = call.node.op.startswith("Depthwise")
    if depthwise and len(set(_spatial(call, list(call.attr("strides").list.i)))) > 1:
        call.fail("has strides that differ, for which oneDNN hands out memory that nobody wrote")
    weights = call.inputs[1].shape
    if weights is None:
        return _by_row(call, tuple(call.shape(0)[:1]) + tuple(unknown() for _ in call.shape(0)[1:]))
    last = weights[-2] * weights[-1] if depthwise else weights[-1]
    return _by_row(call, _windows(call, weights[: len(call.shape(0)) - 2], last))


@kind("transposed convolution", "With weights that are the same for all rows.",
      "Conv2DBackpropInput", "Conv3DBackpropInputV2", sizes=True)  # fmt: skip
def _transposed_convolution(call: Call) -> list[Value]:
    call.require_fixed(1)
    out = call.inputs[2]
    if not out.by_row:
        call.require_fixed()
        return [fixed(None)]
    sides = call.sizes(0)
    # Of two sizes, the first one is the height.
    if len(sides) != len(call.shape(2)) or sides[0] != call.shape(2)[0]:
        call.fail("makes a shape that is not known before it runs")
    if any(side is not None and side.counts_rows for side in sides[1:]):
        call.fail("depends on the number of rows")
    return [Value((call.shape(2)[0], *(side or unknown() for side in sides[1:])), by_row=True)]


@kind(
    "pooling", "Of windows that are one row high and one channel wide.", "AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D"
)
def _pooling(call: Call) -> list[Value]:
    if not call.inputs[0].by_row:
        return [fixed(None)]
    window, steps = list(call.attr("ksize").list.i), list(call.attr("strides").list.i)
    if window[:1] != [1] or steps[:1] != [1]:
        call.fail("has windows of several rows")
    inner = _spatial(call, [Size(side) for side in window])
    at = _channel(call)
    if window[at] != 1 or steps[at] != 1:
        call.fail("has windows of several channels")
    return _by_row(call, _windows(call, inner, call.shape(0)[at]))


def _channel(call: Call) -> int:
    return 1 if call.attr("data_format").s.startswith(b"NC") else len(call.shape(0)) - 1


def _spatial(call: Call, sides: Sequence[Any]) -> list[Any]:
    """All but those of the rows and of the channels."""
    return [side for n, side in enumerate(sides) if n not in (0, _channel(call))]


def _windows(call: Call, windows: Sequence[Size], channels: Size) -> Shape:
    """The shape of what windows of these sizes make of the first input."""
    shape, at = call.shape(0), _channel(call)
    if len(windows) != len(shape) - 2:
        call.fail("takes a tensor of another rank than its windows have")
    sides = list(_moved(call, windows))
    sides.insert(at - 1, channels)
    return (shape[0], *sides)


def _moved(call: Call, windows: Sequence[Size]) -> Iterator[Size]:
    """How often each window fits; unknown where the size is, or the padding is given in numbers."""
    padding, dilations = call.attr("padding").s, list(call.attr("dilations").list.i)
    spread = _spatial(call, dilations) if dilations else [1] * len(windows)
    steps = _spatial(call, list(call.attr("strides").list.i))
    for side, window, step, spaced in zip(_spatial(call, call.shape(0)), windows, steps, spread, strict=True):
        length, width = side.number, window.number
        if length is None or width is None or padding not in (b"SAME", b"VALID"):
            yield unknown()
        elif padding == b"SAME":
            yield Size(-(-length // step))
        else:
            yield Size(max(0, -(-(length - (width - 1) * spaced) // step)))


@kind("batch normalisation", "In inference, with a mean and a variance that are the same for all rows.",
      "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")  # fmt: skip
def _batch_normalisation(call: Call) -> list[Value]:
    call.require_fixed(1, 2, 3, 4)
    if call.inputs[0].by_row and call.attr("is_training").b:
        call.fail("normalises over the rows, as in training")
    return [*_by_row(call, call.inputs[0].shape), *[fixed(None)] * 5]


@kind("local normalisation", "Over neighbouring channels.", "LRN")
def _local_normalisation(call: Call) -> list[Value]:
    return _by_row(call, call.inputs[0].shape)


@kind("resizing", "Of pictures, to a size that is the same for all.",
      "ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "ScaleAndTranslate")  # fmt: skip
def _resizing(call: Call) -> list[Value]:
    call.require_fixed(*range(1, len(call.inputs)))
    shape = call.inputs[0].shape
    if shape is None or len(shape) != 4:
        call.require_fixed()
        return [fixed(None)]
    sides = call.sizes(1)
    return _by_row(call, (shape[0], *(side or unknown() for side in sides[:2]), shape[3]))


@kind("blocks", "Inner axes are cut into blocks, which count as rows until they are put together again.",
      "BatchToSpaceND", "SpaceToBatchND", blocks=True)  # fmt: skip
def _cut_into_blocks(call: Call) -> list[Value]:
    call.require_fixed(1, 2)
    value, shape = call.inputs[0], call.inputs[0].shape
    if not value.by_row or shape is None:
        return [fixed(None)]
    blocks, edges = call.numbers(1), call.numbers(2)
    parts = math.prod(blocks)
    cuts = call.node.op == "SpaceToBatchND"
    if min(blocks) < 1 or value.blocks != (1 if cuts else parts):
        call.fail("brings rows together, or takes them apart")
    sides = [*shape]
    for axis, block in enumerate(blocks):
        length = shape[axis + 1].number
        edge = sum(edges[axis * 2 : axis * 2 + 2])
        if length is None:
            sides[axis + 1] = unknown()
        else:
            sides[axis + 1] = Size((length + edge) // block if cuts else length * block - edge)
    front = shape[0] * Size(parts) if cuts else shape[0].over(Size(parts))
    assert front is not None, "rows that are cut into blocks have as many entries for each"
    return [Value((front, *sides[1:]), by_row=True, blocks=parts if cuts else 1)]


@kind("space and depth", "Blocks of pixels become channels, or channels blocks.", "DepthToSpace", "SpaceToDepth")
@kind("patches", "Of pictures, cut out in windows that are one row high.", "ExtractImagePatches")
def _blocks(call: Call) -> list[Value]:
    shape = call.shape(0)
    if call.node.op == "ExtractImagePatches" and any(
        list(call.attr(name).list.i)[:1] != [1] for name in ("ksizes", "strides", "rates")
    ):
        call.fail("has windows of several rows")
    return _by_row(call, (shape[0], *(unknown() for _ in shape[1:])))


@kind("colours", "Pixel by pixel.", "HSVToRGB", "RGBToHSV")
def _colours(call: Call) -> list[Value]:
    if call.inputs[0].by_row and len(call.shape(0)) < 2:
        call.fail("takes rows for channels")
    return _by_row(call, call.inputs[0].shape)
