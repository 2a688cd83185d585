"""Exact conversion of a parsed body into tensors, with the real server's words for whatever does not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import b64, decimal, dtypes
from serving.codec.debug import describe, kind
from serving.codec.escape import encode
from serving.codec.parser import ABSENT, Members
from serving.errors import Code, ServingError, invalid

Array = npt.NDArray[Any]
Inputs = Mapping[str, int]
"""Aliases of a signature's inputs with their DataType numbers."""

_MAX_DIMENSIONS = 64


def instances(rows: list[Any], inputs: Inputs) -> dict[str, Array]:
    """Tensors of the row format: one element of `rows` per example, the batch dimension in front."""
    if not isinstance(rows[0], Members) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per"
            " tensorinfo_map"
        )
    columns: dict[str, _Column] = {}
    named = _is_named(rows[0])
    for index, row in enumerate(rows):
        if named:
            if not _is_named(row):
                raise invalid(f"Expecting object but got list at item {index} of input list")
            _add_named(columns, index, row, inputs)
        elif _is_named(row):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        else:
            _add_plain(columns, index, row, inputs)
    return {name: column.array(len(rows), name) for name, column in columns.items()}


def columns(value: Any, inputs: Inputs) -> dict[str, Array]:
    """Tensors of the column format: whole tensors, by name when there are several."""
    if not _is_named(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per"
                " tensorinfo_map"
            )
        return {name: _tensor(value, dtype, name) for name, dtype in inputs.items()}
    tensors = {}
    for name, dtype in inputs.items():
        item = value.first(name)
        if item is ABSENT:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = _tensor(item, dtype, name)
    return tensors


def decode_b64(value: Any) -> bytes:
    """The bytes of a `{"b64": "..."}` object."""
    if not is_b64(value):
        raise invalid(f"JSON Value: {describe(value)} not formatted correctly for base64 data")
    return b64.decode(value[0][1])


def is_b64(value: Any) -> bool:
    """Whether `value` is an object with the one key b64 and a string."""
    return isinstance(value, Members) and len(value) == 1 and value[0][0] == "b64" and isinstance(value[0][1], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, Members) and not is_b64(value)


@dataclass
class _Column:
    """The values of one input, gathered row by row."""

    dtype: int
    shape: list[int]
    size: int
    values: list[Any] = field(default_factory=list)

    def array(self, rows: int, name: str) -> Array:
        return _array(self.values, self.dtype, [rows, *self.shape], name)


def _add_named(columns: dict[str, _Column], index: int, row: Members, inputs: Inputs) -> None:
    keys = set()
    for key, value in row:
        name = key.partition("\0")[0]
        keys.add(name)
        try:
            _add_value(columns, name, value, inputs)
        except ServingError as error:
            raise invalid(
                f"Failed to process element: {index} key: {name} of 'instances' list. Error: {error}"
            ) from None
    if keys != set(inputs):
        names = ",".join(sorted(inputs, key=encode))
        raise invalid(
            f"Failed to process element: {index} of 'instances' list. JSON object: {describe(row)} keys must be"
            f" equal to: {names}"
        )


def _add_plain(columns: dict[str, _Column], index: int, row: Any, inputs: Inputs) -> None:
    try:
        _add_value(columns, next(iter(inputs)), row, inputs)
    except ServingError as error:
        raise invalid(f"Failed to process element: {index} of 'instances' list. Error: {error}") from None


def _add_value(columns: dict[str, _Column], name: str, value: Any, inputs: Inputs) -> None:
    if name not in inputs:
        raise invalid(f"JSON object: does not have named input: {name}")
    column = columns.get(name)
    shape = _dense_shape(value)
    values: list[Any] = [] if column is None else column.values
    before = len(values)
    _fill(value, shape, inputs[name], values)
    size = len(values) - before
    if column is None:
        columns[name] = _Column(inputs[name], shape, size, values)
    elif column.size != size:
        raise invalid(f"Expecting tensor size: {column.size} but got: {size}")
    elif column.shape != shape:
        raise invalid(f"Expecting shape {_shape_text(column.shape)} but got: {_shape_text(shape)}")


def _tensor(value: Any, dtype: int, name: str) -> Array:
    shape = _dense_shape(value)
    values: list[Any] = []
    _fill(value, shape, dtype, values)
    return _array(values, dtype, shape, name)


def _shape_text(shape: list[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _dense_shape(value: Any) -> list[int]:
    """The shape that the first element of each level suggests."""
    shape = []
    while isinstance(value, list) and not isinstance(value, Members):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _fill(value: Any, shape: list[int], dtype: int, values: list[Any]) -> None:
    """Append the values of a nested list to `values`, checking that it has `shape`; without recursion."""
    rank = len(shape)
    pending: list[Iterator[Any]] = [iter((value,))]
    while pending:
        item = next(pending[-1], _END)
        if item is _END:
            pending.pop()
            continue
        level = len(pending) - 1
        if not isinstance(item, list) or isinstance(item, Members):
            if level != rank:
                raise invalid(
                    f"JSON Value: {describe(item)} found at incorrect level: {level + 1} in the JSON DOM. Expected at"
                    f" level: {rank}"
                )
            values.append(_convert(item, dtype))
            continue
        if level >= rank:
            raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
        if len(item) != shape[level]:
            raise invalid(
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
            )
        pending.append(iter(item))


_END = object()


def _convert(value: Any, dtype: int) -> Any:
    if isinstance(value, Members):
        if dtype == dtypes.STRING:
            return decode_b64(value)
        raise _wrong_type(value, dtype)
    if dtype == dtypes.STRING and isinstance(value, str):
        return encode(value)
    if dtype in (dtypes.STRING, dtypes.BOOL):
        if dtype == dtypes.BOOL and isinstance(value, bool):
            return value
        raise _wrong_type(value, dtype)
    if dtype not in dtypes.JSON:
        raise ServingError(
            Code.UNIMPLEMENTED, f"Conversion of JSON Value: {describe(value)} to type: {dtypes.name(dtype)}"
        )
    return _convert_number(value, dtype)


def _convert_number(value: Any, dtype: int) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(value, dtype)
    if dtype in (dtypes.FLOAT, dtypes.DOUBLE):
        return float(value)
    low, high = dtypes.INTEGER_RANGES[dtype]
    if isinstance(value, float) or not low <= value <= high:
        raise _wrong_type(value, dtype)
    return value


def _wrong_type(value: Any, dtype: int) -> ServingError:
    return invalid(f"JSON Value: {describe(value)} Type: {kind(value)} is not of expected type: {dtypes.name(dtype)}")


def _array(values: list[Any], dtype: int, shape: list[int], name: str) -> Array:
    if len(shape) > _MAX_DIMENSIONS:
        raise invalid(f"tensor parsing error: {name}")
    wanted = values[: math.prod(shape)]  # duplicate keys leave more values than the shape has room for
    if dtype == dtypes.STRING:
        strings = np.empty(len(wanted), dtype=object)
        strings[:] = wanted
        return strings.reshape(shape)
    if dtype not in dtypes.JSON:
        return np.zeros(shape, dtype=_numpy_type(dtype))
    if dtype == dtypes.FLOAT:
        return decimal.to_float32(np.array(wanted, dtype=np.float64)).reshape(shape)
    target = dtypes.JSON[dtype]
    small = dtype in (dtypes.INT8, dtypes.INT16, dtypes.UINT8)
    return np.array(wanted, dtype=np.int64 if small else target).astype(target).reshape(shape)


def _numpy_type(dtype: int) -> npt.DTypeLike:
    """The NumPy type of a tensor that JSON cannot fill: it can still be empty."""
    import tensorflow as tf

    return tf.dtypes.as_dtype(dtype).as_numpy_dtype  # type: ignore[no-any-return]
