"""Tensors to the JSON of a reply, in the real server's layout: rows on one line, columns fully expanded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import decimal, dtypes
from serving.codec.escape import decode, encode, quote
from serving.errors import ServingError, invalid

Array = npt.NDArray[Any]
Outputs = Mapping[str, tuple[int, Array]]
"""Aliases of a signature's outputs with their DataType numbers and values; the first dimension is the batch."""

_INDENT = "    "


def predict(outputs: Outputs, row_format: bool) -> bytes:
    """The body of a predict reply; raises ServingError INVALID_ARGUMENT for what JSON cannot hold."""
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    return encode(_rows(outputs) if row_format else _columns(outputs))


def error(message: str) -> bytes:
    """The body of a failed request."""
    return encode(f'{{\n    "error": {quote(message)}\n}}')


def regressions(values: Array) -> bytes:
    """The body of a regress reply."""
    return encode(f'{{\n    "results": [{", ".join(decimal.float32_texts(values.tolist()))}]\n}}')


def classifications(rows: list[list[tuple[bytes, float]]]) -> bytes:
    """The body of a classify reply: for each example its (label, score) pairs."""
    texts = [
        "[" + ", ".join(f"[{quote(decode(label))}, {decimal.float32_text(score)}]" for label, score in row) + "]"
        for row in rows
    ]
    return encode(f'{{\n    "results": [{", ".join(texts)}\n    ]\n}}')


def _rows(outputs: Outputs) -> str:
    batch = _common_batch(outputs)
    if batch == 0:
        return '{\n    "predictions": []\n}'
    depth = 3 if len(outputs) > 1 else 2
    written = {name: _row_texts(name, dtype, value, depth) for name, (dtype, value) in outputs.items()}
    if len(written) == 1:
        rows = next(iter(written.values()))
        return '{\n    "predictions": [' + ", ".join(rows) + "\n    ]\n}"
    keys = {name: _INDENT * 3 + quote(name) + ": " for name in written}
    objects = [
        _INDENT * 2
        + "{\n"
        + ",\n".join(keys[name] + texts[row] for name, texts in written.items())
        + "\n"
        + _INDENT * 2
        + "}"
        for row in range(batch)
    ]
    return '{\n    "predictions": [\n' + ",\n".join(objects) + "\n    ]\n}"


def _columns(outputs: Outputs) -> str:
    if len(outputs) == 1:
        ((name, (dtype, value)),) = outputs.items()
        return '{\n    "outputs": ' + _expanded(name, dtype, value, 1) + "\n}"
    members = [
        _INDENT * 2 + quote(name) + ": " + _expanded(name, dtype, value, 2) for name, (dtype, value) in outputs.items()
    ]
    return '{\n    "outputs": {\n' + ",\n".join(members) + "\n    }\n}"


def _common_batch(outputs: Outputs) -> int:
    batch = -1
    for name, (_, value) in outputs.items():
        if value.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch >= 0 and batch != value.shape[0]:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {value.shape[0]} expecting: {batch}")
        batch = value.shape[0]
    return batch


def _row_texts(name: str, dtype: int, value: Array, depth: int) -> list[str]:
    """One text per element of the first dimension, lists on one line."""
    texts = _texts(name, dtype, value, depth + value.ndim - 1)
    for size in reversed(value.shape[1:]):
        if size == 0:
            count = int(np.prod(value.shape[: value.shape.index(0)]))
            return _group_empty(value.shape, count)
        texts = ["[" + ", ".join(texts[at : at + size]) + "]" for at in range(0, len(texts), size)]
    return texts


def _group_empty(shape: tuple[int, ...], count: int) -> list[str]:
    """As `_row_texts` for a value without elements: what is written ends at the first dimension that is 0."""
    first_empty = shape.index(0)
    texts = ["[]"] * count
    for size in reversed(shape[1:first_empty]):
        texts = ["[" + ", ".join(texts[at : at + size]) + "]" for at in range(0, len(texts), size)]
    return texts


def _expanded(name: str, dtype: int, value: Array, depth: int) -> str:
    """A whole tensor with one element per line at every depth."""
    shape = value.shape
    if 0 in shape:
        shape = shape[: shape.index(0)]
        texts = ["[]"] * int(np.prod(shape))
    else:
        texts = _texts(name, dtype, value, depth + value.ndim)
    for level in range(len(shape) - 1, -1, -1):
        inner, outer = "\n" + _INDENT * (depth + level + 1), "\n" + _INDENT * (depth + level)
        size = shape[level]
        texts = [
            "[" + inner + ("," + inner).join(texts[at : at + size]) + outer + "]" for at in range(0, len(texts), size)
        ]
    return texts[0]


def _texts(name: str, dtype: int, value: Array, depth: int) -> list[str]:
    """The elements of a tensor, flat; `depth` is how many containers are open around one."""
    flat = value.reshape(-1)
    if not flat.size:
        return []
    if dtype == dtypes.FLOAT:
        return decimal.float32_texts(flat.tolist())
    if dtype == dtypes.DOUBLE:
        return [decimal.float64_text(number) for number in flat.tolist()]
    if dtype == dtypes.STRING:
        return _string_texts(name, flat, depth)
    if dtype == dtypes.BOOL:
        return ["true" if item else "false" for item in flat.tolist()]
    if dtype in dtypes.INTEGER_RANGES:
        return list(map(str, flat.tolist()))
    raise unwritable(dtype)


def unwritable(dtype: int) -> ServingError:
    """The error of a type that has no JSON form."""
    return invalid(f"Failed to write JSON value for tensor type: {dtypes.name(dtype)}")


def _string_texts(name: str, flat: Array, depth: int) -> list[str]:
    if not name.endswith("_bytes"):
        return [quote(decode(item)) for item in flat]
    inner, outer = "\n" + _INDENT * (depth + 1), "\n" + _INDENT * depth
    return [f'{{{inner}"b64": "{base64.b64encode(item).decode("ascii")}"{outer}}}' for item in flat]
