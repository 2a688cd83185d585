"""The quick way through everyday bodies: C parsing and NumPy, given up at the first thing that is not certain.

Nothing here explains an error: whoever gets Doubt goes the exact way, which does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import b64, decimal, dtypes
from serving.errors import ServingError

Array = npt.NDArray[Any]


class Doubt(Exception):
    """This body needs the exact way."""


_BLANKS = re.compile(r"[ \t\r\n]*")
# What the real server may read otherwise, or refuse, shows in the tokens.
LARGE_EXPONENT = re.compile(rb"[0-9][eE]\+?0*[1-9][0-9]{2}")
CLASSES = bytearray(b" " * 256)
for _byte in b"0123456789.":
    CLASSES[_byte] = 0x30
for _byte in b"eE":
    CLASSES[_byte] = 0x65
LONG_RUN, HUGE_RUN = b"0" * 17, b"0" * 40
# How far the real server's reading of a long number can be from the nearest double, relatively, and then some.
_READING_ERROR = 2.0**-48


class Document:
    """A parsed body that is an object without duplicate keys.

    `root` holds dicts, lists, strs, ints, floats, bools and None. `rounded` says that some number may
    differ in its last bits from what the real server reads.
    """

    def __init__(self, root: dict[str, Any], rounded: bool, has_bool: bool) -> None:
        self.root = root
        self.rounded = rounded
        self.has_bool = has_bool


def parse(body: bytes) -> Document:
    """Parse `body`, or raise Doubt."""
    classes = body.translate(CLASSES)
    exponents = b"0e" in classes
    _refuse_odd(body, classes, exponents)
    try:
        text = body.decode("utf-8")
        blanks = _BLANKS.match(text)
        root, _ = _DECODER.raw_decode(text, blanks.end() if blanks else 0)
    except (ValueError, RecursionError):
        raise Doubt from None
    if type(root) is not dict:
        raise Doubt
    return Document(root, exponents or LONG_RUN in classes, b"true" in body or b"false" in body)


def instances(document: Document, rows: Any, inputs: Mapping[str, int]) -> dict[str, Array]:
    """Tensors of the row format, as `exact.instances` would make them, or Doubt."""
    if type(rows) is not list or not rows:
        raise Doubt
    first = rows[0]
    if type(first) is not dict or _is_b64(first):
        if len(inputs) != 1:
            raise Doubt
        return {name: _tensor(document, rows, dtype) for name, dtype in inputs.items()}
    width = len(inputs)
    for row in rows:
        if type(row) is not dict or len(row) != width or _is_b64(row):
            raise Doubt
    try:
        return {name: _tensor(document, [row[name] for row in rows], dtype) for name, dtype in inputs.items()}
    except KeyError:
        raise Doubt from None


def columns(document: Document, value: Any, inputs: Mapping[str, int]) -> dict[str, Array]:
    """Tensors of the column format, as `exact.columns` would make them, or Doubt."""
    if type(value) is not dict or _is_b64(value):
        if len(inputs) != 1:
            raise Doubt
        return {name: _tensor(document, value, dtype) for name, dtype in inputs.items()}
    if not inputs.keys() <= value.keys():
        raise Doubt
    return {name: _tensor(document, value[name], dtype) for name, dtype in inputs.items()}


def _refuse_odd(body: bytes, classes: bytes, exponents: bool) -> None:
    if HUGE_RUN in classes or (exponents and LARGE_EXPONENT.search(body)):
        raise Doubt
    if b"\\u" in body and (b"\\ud" in body or b"\\uD" in body or b"\\u0000" in body):
        raise Doubt
    if b"\0" in body:
        raise Doubt


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _is_b64(value: dict[str, Any]) -> bool:
    return len(value) == 1 and type(value.get("b64")) is str


def _tensor(document: Document, value: Any, dtype: int) -> Array:
    if dtype == dtypes.STRING:
        return _strings(value)
    if dtype not in dtypes.JSON:
        raise Doubt
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, RecursionError):
        raise Doubt from None
    if array.ndim == 2 and array.shape[1] == 0:
        return np.empty(array.shape, dtypes.JSON[dtype])  # A list of empty lists, of which there can be many.
    if array.size == 0 or array.ndim > 62:
        raise Doubt
    if dtype == dtypes.BOOL:
        return _expect_kind(array, "b")
    if document.has_bool:
        raise Doubt  # NumPy takes true for 1
    if dtype in (dtypes.FLOAT, dtypes.DOUBLE):
        return floats(array, dtype, document.rounded)
    return integers(array, dtype)


def _expect_kind(array: Array, kinds: str) -> Array:
    if array.dtype.kind not in kinds:
        raise Doubt
    return array


def floats(array: Array, dtype: int, rounded: bool) -> Array:
    """Numbers as float or double, or Doubt when, being `rounded`, one may not be what the real server reads."""
    wide = _expect_kind(array, "fiu").astype(np.float64, copy=False)
    if dtype == dtypes.DOUBLE:
        if rounded:
            raise Doubt
        return wide
    if rounded:
        margin = np.abs(wide) * _READING_ERROR
        with np.errstate(all="ignore"):
            same = (wide - margin).astype(np.float32) == (wide + margin).astype(np.float32)
        if not (same | ~np.isfinite(wide)).all():
            raise Doubt
    return decimal.to_float32(wide)


def integers(array: Array, dtype: int) -> Array:
    """Narrow integers to their type, or Doubt when one does not fit."""
    _expect_kind(array, "iu")
    low, high = dtypes.INTEGER_RANGES[dtype]
    if int(array.min()) < low or int(array.max()) > high:
        raise Doubt
    return array.astype(dtypes.JSON[dtype], copy=False)


def _strings(value: Any) -> Array:
    shape: list[int] = []
    level = [value]
    while type(level[0]) is list:
        size = len(level[0])
        if any(type(item) is not list or len(item) != size for item in level) or not size or len(shape) == 62:
            raise Doubt
        shape.append(size)
        level = [element for item in level for element in item]
    array = np.empty(len(level), dtype=object)
    array[:] = [_string(item) for item in level]
    return array.reshape(shape)


def _string(value: Any) -> bytes:
    if type(value) is str:
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise Doubt from None
    if type(value) is dict and _is_b64(value):
        try:
            return b64.decode(value["b64"])
        except ServingError:
            raise Doubt from None
    raise Doubt
