"""The quickest way, for a body that is one array of numbers: no Python object is made for any of them.

Such a body has little else in it than digits, commas and brackets. What it leaves without the digits is compared
with what an array of its shape would leave; simdjson checks the syntax and reads the numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import simdjson

from serving.codec import dtypes, fast
from serving.codec.fast import Doubt

Array = npt.NDArray[Any]

_MAX_DIMENSIONS = 62
_BLANKS = b" \t\r\n"
_NOT_STRUCTURE = b"0123456789.+-eE" + _BLANKS


def _pattern(text: str) -> re.Pattern[bytes]:
    """Compile; a blank stands for any blanks, NAME for a short string without escapes."""
    text = text.replace(" ", r"[ \t\r\n]*").replace("NAME", r'"([ !#-\[\]-~]{0,200})"')
    return re.compile(text.encode("ascii"))


# The first element tells whether these are numbers: a picture in base64 is not gone through for nothing.
_HEAD = _pattern(
    r' \{ (?:"signature_name" : NAME , )?"(instances|inputs)" : (?:(\[ )?\{ NAME : )?(?=\[ (?:\[ )*[-0-9])'
)
_TAIL = _pattern(r' (?:, "signature_name" : NAME )?\} ')
_END_OF_INPUT = _pattern(r" \}")
_BETWEEN_ROWS, _COLON = _pattern(r"\} , \{ ").pattern, _pattern(" : ").pattern


class Numbers:
    """A body that holds one array of numbers and whose answer has rows if `row_format`."""

    def __init__(self, body: bytes) -> None:
        """Parse `body`, or raise Doubt."""
        head = _found(_HEAD.match(body))
        before, kind, in_rows, name = head.groups()
        self.row_format = kind == b"instances"
        if name is not None and self.row_format != bool(in_rows):
            raise Doubt
        end = body.rfind(b"]") + 1
        text = body[head.end() : end]
        if in_rows:
            text = _without_names(text, name)
        elif name is not None:
            end = _found(_END_OF_INPUT.match(body, end)).end()
        after = _found(_TAIL.fullmatch(body, end))[1]
        if before is not None and after is not None:
            raise Doubt
        self.signature_name = (before or after or b"").decode("ascii")
        self._input_name = None if name is None else name.decode("ascii")
        self._shape = _shape(text.translate(None, _NOT_STRUCTURE))
        self._rounded = _may_be_rounded(text)
        self._integers = not self._rounded and b"." not in text
        self._array = _parsed(text)

    def tensors(self, inputs: Mapping[str, int]) -> dict[str, Array]:
        """The tensor of the only one of `inputs` (alias to DataType number), or Doubt."""
        if len(inputs) != 1 or self._input_name not in (None, *inputs):
            raise Doubt
        return {name: self._tensor(dtype) for name, dtype in inputs.items()}

    def _tensor(self, dtype: int) -> Array:
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


def _found(match: re.Match[bytes] | None) -> re.Match[bytes]:
    if match is None:
        raise Doubt
    return match


def _without_names(text: bytes, name: bytes) -> bytes:
    """Make `[x, y]` of what follows the first name in `[{"name": x}, {"name": y}]`."""
    rows = text[:-1].rstrip(_BLANKS)
    if not rows.endswith(b"}"):
        raise Doubt
    between = _BETWEEN_ROWS + re.escape(b'"' + name + b'"') + _COLON
    return b"[" + re.sub(between, b",", rows[:-1]) + b"]"


def _shape(structure: bytes) -> list[int]:
    """The shape of the array whose brackets and commas are `structure`, if all its lists are equally long."""
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
    classes = text.translate(fast.CLASSES)
    long = fast.LONG_RUN in classes
    exponents = b"e" in text or b"E" in text
    if (long and fast.HUGE_RUN in classes) or (exponents and fast.LARGE_EXPONENT.search(text)):
        raise Doubt
    return long or exponents


def _parsed(text: bytes) -> simdjson.Array:
    try:
        array = simdjson.Parser().parse(text)
    except (ValueError, RuntimeError):
        raise Doubt from None
    assert isinstance(array, simdjson.Array)
    return array
