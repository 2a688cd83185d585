"""Rules of where tensors come from: constants, variables, tables, and what is looked up in them."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from serving.batching.rows.elementwise import together
from serving.batching.rows.registry import kind
from serving.batching.rows.sizes import Size, unknown
from serving.batching.rows.values import MOST_CONTENTS, Call, Shape, Value, fixed, holding
from serving.codec import dtypes

_WHOLE: Final = (dtypes.INT32, dtypes.INT64)


def shape_of(proto: Any) -> Shape | None:
    """The shape in a TensorShapeProto."""
    if proto.unknown_rank:
        return None
    return tuple(Size(dim.size) if dim.size >= 0 else unknown() for dim in proto.dim)


@kind("constant", "The same for all rows.", "Const")
def _constant(call: Call) -> list[Value]:
    tensor = call.attr("value").tensor
    sides = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in _WHOLE or math.prod(sides) > MOST_CONTENTS:
        return [fixed(shape_of(tensor.tensor_shape))]
    from tensorflow.python.framework import tensor_util

    numbers = tensor_util.MakeNdarray(tensor)
    contents = np.empty(numbers.shape, dtype=object)
    for place, number in np.ndenumerate(numbers):
        contents[place] = Size(int(number))
    return [holding(contents)]


@kind("variable", "The same for all rows, as no operation of the table changes it.", "VarHandleOp", "VariableV2")
def _variable(call: Call) -> list[Value]:
    shape = shape_of(call.attr("shape").shape)
    return [fixed(shape) if call.node.op == "VariableV2" else Value((), stored=shape)]


@kind("variable", "The same for all rows, as no operation of the table changes it.", "ReadVariableOp")
def _read(call: Call) -> list[Value]:
    call.require_fixed()
    return [fixed(call.inputs[0].stored)]


@kind("table", "The same for all rows, as no operation of the table changes it.",
      "HashTable", "HashTableV2", "LookupTableSize", "LookupTableSizeV2")  # fmt: skip
def _table(call: Call) -> list[Value]:
    call.require_fixed()
    return [fixed(())]


@kind("lookup", "In a table, key by key.", "LookupTableFind", "LookupTableFindV2")
def _lookup(call: Call) -> list[Value]:
    call.require_fixed(0, 2)
    if call.shape(2) != ():  # It is put in the place of a key, whatever its shape.
        call.fail("finds more than one value for a key")
    return [together(call, call.inputs[1:2])]


@kind("gather", "Places that the rows name, in what is the same for all; or the same places of each row.",
      "Gather", "GatherV2", "ResourceGather", sizes=True)  # fmt: skip
def _gather(call: Call) -> list[Value]:
    values, places = _searched(call), call.inputs[1]
    if not values.by_row and not places.by_row:
        return [_of_sizes(call, values)]
    if values.counts_rows or places.counts_rows:
        call.fail("computes with the number of rows")
    shape, named = _shape_of(call, values), call.shape(1)
    axis = call.axis(2, len(shape)) if call.node.op == "GatherV2" else 0
    skipped = call.attr("batch_dims").i
    skipped = call.from_front(skipped, len(named)) if skipped < 0 else skipped
    if values.by_row and places.by_row:
        if not 0 < skipped <= axis or shape[0] != named[0]:
            call.fail("takes rows from other rows' places")
    elif values.by_row and (axis == 0 or skipped):
        call.fail("takes some of the rows")
    elif places.by_row and (axis > 0 or skipped):
        call.fail("moves the axis of the rows")
    return [Value(shape[:axis] + named[skipped:] + shape[axis + 1 :], by_row=True)]


def _searched(call: Call) -> Value:
    """What is gathered from: the first input, or the variable that it leads to."""
    if not call.node.op.startswith("Resource"):
        return call.inputs[0]
    call.require_fixed(0)
    return fixed(call.inputs[0].stored)


def _shape_of(call: Call, values: Value) -> Shape:
    if values.shape is None:
        call.fail("takes a tensor of unknown rank")
    return values.shape


def _of_sizes(call: Call, values: Value) -> Value:
    """Whole numbers picked out of a vector, as shapes are made."""
    places = call.inputs[1]
    if values.contents is not None and values.contents.ndim == 1 and places.contents is not None:
        numbers = call.numbers(1)
        if any(not 0 <= number < len(values.contents) for number in numbers):
            call.fail("names a place that is not there")
        return holding(values.contents[np.array(numbers, int).reshape(places.contents.shape)])
    call.require_fixed()
    if values.shape is None or places.shape is None or (call.node.op == "GatherV2" and call.inputs[2].contents is None):
        return fixed(None)
    axis = call.axis(2, len(values.shape)) if call.node.op == "GatherV2" else 0
    if call.attr("batch_dims").i:
        return fixed(None)
    return fixed(values.shape[:axis] + places.shape + values.shape[axis + 1 :])


@kind("gather", "Places that the rows name, in what is the same for all; or the same places of each row.",
      "GatherNd", "ResourceGatherNd")  # fmt: skip
def _gather_by_path(call: Call) -> list[Value]:
    call.require_fixed(0)
    if not call.inputs[1].by_row:
        call.require_fixed()
        return [fixed(None)]
    shape, named = _shape_of(call, _searched(call)), call.shape(1)
    depth = named[-1].number
    if depth is None or len(named) < 2:
        call.fail("takes rows for parts of a path")
    return [Value(named[:-1] + shape[depth:], by_row=True)]
