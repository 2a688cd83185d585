"""Rules of operations that compute each number of the result from the numbers at the same place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import ONE, Size
from serving.batching.rows.values import MOST_CONTENTS, Call, Shape, Value, broadcast, fixed
from serving.codec import dtypes

_ARITHMETIC: Final = (
    "Abs", "Acos", "Acosh", "Add", "AddV2", "Asin", "Asinh", "Atan", "Atan2", "Atanh", "Ceil", "ClipByValue", "Cos",
    "Cosh", "Digamma", "Div", "DivNoNan", "Erf", "Erfc", "Erfinv", "Exp", "Expm1", "Floor", "FloorDiv", "FloorMod",
    "Igamma", "Igammac", "Inv", "Invert", "IsFinite", "IsInf", "IsNan", "LeftShift", "Lgamma", "Log", "Log1p",
    "Maximum", "Minimum", "Mod", "Mul", "MulNoNan", "Ndtri", "Neg", "NextAfter", "OnesLike", "Polygamma", "Pow",
    "RealDiv", "Reciprocal", "RightShift", "Rint", "Round", "Rsqrt", "Sign", "Sin", "Sinh", "Sqrt", "Square",
    "SquaredDifference", "Sub", "Tan", "TruncateDiv", "TruncateMod", "Xdivy", "Xlog1py", "Xlogy", "ZerosLike", "Zeta",
)  # fmt: skip
_ACTIVATIONS: Final = (
    "Elu", "LeakyRelu", "Relu", "Relu6", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh",
)  # fmt: skip
_COMPARING: Final = (
    "ApproximateEqual", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Greater", "GreaterEqual", "Less", "LessEqual",
    "LogicalAnd", "LogicalNot", "LogicalOr",
)  # fmt: skip
_TEXT: Final = (
    "DecodeBase64", "EncodeBase64", "RegexFullMatch", "RegexReplace", "StaticRegexFullMatch",
    "StaticRegexReplace", "StringJoin", "StringLength", "StringLower", "StringStrip", "StringToHashBucketFast",
    "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Substr", "UnicodeScript", "UnicodeTranscode",
)  # fmt: skip
_WHOLE: Final = (dtypes.INT32, dtypes.INT64)
_WITHOUT_FRACTION: Final = (
    dtypes.BOOL, dtypes.INT8, dtypes.INT16, dtypes.INT32, dtypes.INT64,
    dtypes.UINT8, dtypes.UINT16, dtypes.UINT32, dtypes.UINT64,
)  # fmt: skip
# What a number with a fraction that does not fit becomes in these depends on its place: kernels take several at once.
_NARROW: Final = (
    dtypes.INT8, dtypes.INT16, dtypes.UINT8, dtypes.UINT16, dtypes.UINT32, dtypes.UINT64,
)  # fmt: skip
_PASSING: Final = ("CheckNumerics", "Identity", "PreventGradient", "Snapshot", "StopGradient")


def together(call: Call, operands: Sequence[Value]) -> Value:
    """The result of bringing `operands` together number by number, aligned at their last dimensions."""
    by_row = [value for value in operands if value.by_row]
    if any(value.counts_rows for value in operands):
        call.fail("depends on the number of rows")
    if not by_row:
        return fixed(_fixed_shape(operands))
    rows = by_row[0].shape
    assert rows is not None
    shape = rows
    for value in operands:
        shape = broadcast(shape, _aligned(call, value, rows))
    return Value((rows[0], *shape[1:]), by_row=True)


def _aligned(call: Call, value: Value, rows: Shape) -> Shape:
    """The shape of an operand, which must not move or spread the rows of another of the shape `rows`."""
    shape = value.shape
    if shape is None:
        call.fail("takes a tensor of unknown rank")
    if value.by_row:
        if len(shape) != len(rows) or shape[0] != rows[0]:
            call.fail("brings different rows together")
    elif len(shape) > len(rows) or (len(shape) == len(rows) and shape[0] != ONE):
        call.fail("treats rows by their place in the batch")
    return shape


def _fixed_shape(operands: Sequence[Value]) -> Shape | None:
    shape: Shape = ()
    for value in operands:
        if value.shape is None:
            return None
        shape = broadcast(shape, value.shape)
    return shape


@kind("arithmetic", "Number by number. What is the same for all rows must not have a size of its own for the rows.",
      *_ARITHMETIC, sizes=True)  # fmt: skip
def _arithmetic(call: Call) -> list[Value]:
    return [_computed(call) or together(call, call.inputs)]


@kind("activation", "Number by number.", *_ACTIVATIONS)
@kind("comparison", "Number by number.", *_COMPARING)
@kind("text", "String by string.", *_TEXT)
@kind("bucketize", "Number by number; the boundaries are an attribute.", "Bucketize", "FakeQuantWithMinMaxArgs")
def _number_by_number(call: Call) -> list[Value]:
    return [together(call, call.inputs)]


@kind("text", "Whole numbers only, each by itself: rounding would show in the text of others.", "AsString")
def _as_text(call: Call) -> list[Value]:
    if call.inputs[0].by_row and call.attr("T").type not in _WITHOUT_FRACTION:
        call.fail("prints numbers with a fraction, whose last digits depend on their place in the batch")
    return [together(call, call.inputs)]


@kind("equality", "Number by number. Where shapes that do not fit count as different, they must be known to fit.",
      "Equal", "NotEqual")  # fmt: skip
def _equality(call: Call) -> list[Value]:
    one, other = call.inputs
    if call.attr("incompatible_shape_error").b or _fit_for_certain(one.shape, other.shape):
        return [together(call, call.inputs)]
    if one.by_row or other.by_row:
        call.fail("may compare shapes that do not fit together, and then answers once for all rows")
    return [fixed(None)]


def _fit_for_certain(one: Shape | None, other: Shape | None) -> bool:
    if one is None or other is None:
        return False
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(side == beside or ONE in (side, beside) for side, beside in pairs)


@kind("sum of several", "Number by number, of tensors of the same shape.", "AddN")
def _sum_of_several(call: Call) -> list[Value]:
    return [together(call, call.inputs)]


@kind("pass on", "The tensor as it is.", *_PASSING, sizes=True)
def _pass_on(call: Call) -> list[Value]:
    return [call.inputs[0]]


@kind("pass on", "The tensors as they are.", "IdentityN", sizes=True)
def _pass_all_on(call: Call) -> list[Value]:
    return list(call.inputs)


@kind("check of a shape", "It leaves the number of rows open.", "EnsureShape", sizes=True)
def _check_of_shape(call: Call) -> list[Value]:
    wanted = call.attr("shape").shape
    if call.inputs[0].by_row and not wanted.unknown_rank and any(side.size >= 0 for side in wanted.dim[:1]):
        call.fail("asks for a number of rows")
    return [call.inputs[0]]


@kind("cast", "Number by number; those with a fraction only to whole ones that have a sign and 32 bits or more.",
      "Cast", sizes=True)  # fmt: skip
def _cast(call: Call) -> list[Value]:
    value, source, target = call.inputs[0], call.attr("SrcT").type, call.attr("DstT").type
    if value.by_row and source not in _WITHOUT_FRACTION and target in _NARROW:
        call.fail("turns numbers that do not fit into others, by their place in the batch")
    if target in _WHOLE:
        return [_wrapped(value)]
    if value.counts_rows:  # Shapes are whole numbers: this is for computing with it.
        call.fail("computes with the number of rows")
    return [Value(value.shape, value.by_row)]


def _wrapped(value: Value) -> Value:
    """The value without the numbers that may be too large for the new type."""
    if value.contents is None:
        return value
    # How large tensors are is no matter: TensorFlow refuses to count what does not fit.
    sizes = [size if size is None or size.symbols or not size.may_wrap else None for size in value.contents.flat]
    return _held(sizes, value.contents.shape)


@kind("bits", "Number by number, between types of the same size.", "Bitcast")
def _bits(call: Call) -> list[Value]:
    if _bytes_of(call.attr("T").type) != _bytes_of(call.attr("type").type):
        call.fail("makes numbers of parts of others")
    return [Value(call.inputs[0].shape, call.inputs[0].by_row)]


def _bytes_of(dtype: int) -> int:
    from tensorflow.python.framework import dtypes as tensorflow_dtypes

    return int(tensorflow_dtypes.as_dtype(dtype).size)


@kind("choice", "Number by number, or row by row where the condition has one value for each row.",
      "Select", "SelectV2")  # fmt: skip
def _choice(call: Call) -> list[Value]:
    if call.node.op == "SelectV2":
        return [together(call, call.inputs)]
    condition, *branches = call.inputs
    if condition.shape == ():
        return [together(call, call.inputs)]
    if any(value.by_row != condition.by_row for value in branches):  # It takes rows by the place of their condition.
        call.fail("brings different rows together")
    chosen = together(call, branches)
    if condition.by_row and call.shape(0)[0] != (chosen.shape or ())[0]:
        call.fail("brings different rows together")
    return [chosen]


@kind("bias", "One number for each channel is added.", "BiasAdd", "BiasAddV1")
def _bias(call: Call) -> list[Value]:
    call.require_fixed(1)
    value = call.inputs[0]
    if value.by_row and len(call.shape(0)) < 2:
        call.fail("adds one number for each row")
    return [value if value.by_row else fixed(value.shape)]


def _divided(one: Size, other: Size) -> Size | None:
    return one.over(other)


_EXACT: Final[dict[str, Callable[[Size, Size], Size | None]]] = {
    "Mul": lambda one, other: one * other,
    "FloorDiv": _divided,
    "Add": lambda one, other: _of_numbers(one, other, 1),
    "AddV2": lambda one, other: _of_numbers(one, other, 1),
    "Sub": lambda one, other: _of_numbers(one, other, -1),
    "Maximum": lambda one, other: one if one == other else None,
    "Minimum": lambda one, other: one if one == other else None,
}


def _of_numbers(one: Size, other: Size, sign: int) -> Size | None:
    if other == Size(0):
        return one
    if one.number is None or other.number is None:
        return None
    return Size(one.number + sign * other.number)


def _computed(call: Call) -> Value | None:
    """The result for whole numbers that are known, as shapes are made of; None for all else."""
    exact = _EXACT.get(call.node.op)
    contents = [value.contents for value in call.inputs if value.contents is not None]
    if exact is None or len(contents) != 2 or len(call.inputs) != 2:
        return None
    try:
        pairs = np.broadcast(*contents)
    except ValueError:
        return None
    if pairs.size > MOST_CONTENTS:
        return None
    return _held([_exactly(call, exact, one, other) for one, other in pairs], pairs.shape)


def _exactly(call: Call, exact: Any, one: Size | None, other: Size | None) -> Size | None:
    result: Size | None = exact(one, other) if one is not None and other is not None else None
    result = None if result is None or result.may_wrap else result
    if result is None and any(size is not None and size.counts_rows for size in (one, other)):
        call.fail("computes with the number of rows")
    return result


def _held(sizes: Sequence[Size | None], shape: tuple[int, ...]) -> Value:
    contents = np.empty(len(sizes), dtype=object)
    contents[:] = sizes
    return Value(tuple(map(Size, shape)), contents=contents.reshape(shape))
