"""The quickest way, for an array of numbers: no Python object is made for any of them.

Such an array has little else in it than digits, commas and brackets. What it leaves without the digits is compared
with what an array of its shape would leave; simdjson checks the syntax and reads the numbers.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import simdjson

from serving.codec import dtypes, fast
from serving.codec.envelope import BLANKS
from serving.codec.fast import Doubt

Array = npt.NDArray[Any]

_MAX_DIMENSIONS = 62
_LOWEST, _HIGHEST = ord("."), ord("9")
# Where 1 is followed by 1 there are 2, then 4, 8, 16, and 17.
_TO_SEVENTEEN = (1, 2, 4, 8, 1)
# Clients tend to send one shape again and again.
_last_shape: tuple[bytes, list[int]] = (b"", [])
_MOST_KEPT = 1 << 20
_NOT_STRUCTURE = b"0123456789.+-eE" + BLANKS


class Numbers:
    """An array of numbers."""

    def __init__(self, text: bytes) -> None:
        """Parse the text of an array, or raise Doubt."""
        self._shape = _shape(text.translate(None, _NOT_STRUCTURE))
        self._rounded = _may_be_rounded(text)
        self._integers = not self._rounded and b"." not in text
        self._array = _parsed(text)

    def tensor(self, dtype: int) -> Array:
        """The array as a tensor of a DataType, or Doubt."""
        if dtype in (dtypes.FLOAT, dtypes.DOUBLE):
            wide = self._read("d", np.float64)
            if self._rounded:
                return fast.floats(wide, dtype, rounded=True)
            # Without an exponent and with at most 16 digits, every number is a normal one in either type.
            return wide.astype(dtypes.JSON[dtype], copy=False)
        if dtype in dtypes.INTEGER_RANGES and self._integers:
            return fast.integers(self._read("i", np.int64), dtype)
        raise Doubt

    def _read(self, kind: Literal["d", "i"], dtype: npt.DTypeLike) -> Array:
        try:
            values = np.frombuffer(self._array.as_buffer(of_type=kind), dtype)
        except (ValueError, TypeError):
            raise Doubt from None
        # An empty list leaves the same brackets as a list of one number.
        if values.size != math.prod(self._shape):
            raise Doubt
        return values.reshape(self._shape)


def _shape(structure: bytes) -> list[int]:
    """The shape of the array whose brackets and commas are `structure`, if all its lists are equally long."""
    global _last_shape
    known, shape = _last_shape
    if structure != known:
        shape = _find_shape(structure)
        if len(structure) <= _MOST_KEPT:
            _last_shape = structure, shape
    return shape


def _find_shape(structure: bytes) -> list[int]:
    depth = len(structure) - len(structure.lstrip(b"["))
    if depth > _MAX_DIMENSIONS:
        raise Doubt
    shape: list[int] = []
    element = b""
    for level in range(depth - 1, -1, -1):
        # The first list of this level ends where it and all lists in it end.
        length = structure.find(b"]" * (depth - level)) + depth - level - level
        size = max(1, (length - 1) // (len(element) + 1))
        element = b"[" + b",".join([element] * size) + b"]"
        shape.insert(0, size)
    if element != structure:
        raise Doubt
    return shape


def _may_be_rounded(text: bytes) -> bool:
    """Whether the real server may read a number in `text` with other last bits; Doubt when it may refuse one."""
    long = _has_long_number(text)
    exponents = b"e" in text or b"E" in text
    if (long and fast.HUGE_RUN in text.translate(fast.CLASSES)) or (exponents and fast.LARGE_EXPONENT.search(text)):
        raise Doubt
    return long or exponents


def _has_long_number(text: bytes) -> bool:
    """Whether `fast.LONG_RUN` digits and points follow each other somewhere."""
    at = np.frombuffer(text, np.uint8)
    run = (at >= _LOWEST) & (at <= _HIGHEST)  # In an array of numbers nothing else lies between "." and "9".
    for distance in _TO_SEVENTEEN:
        run = run[distance:] & run[:-distance]  # True where twice as many follow, or so.
    return bool(run.any())


def _parsed(text: bytes) -> simdjson.Array:
    try:
        array = simdjson.Parser().parse(text)
    except (ValueError, RuntimeError):
        raise Doubt from None
    assert isinstance(array, simdjson.Array)
    return array
