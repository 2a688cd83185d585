"""What can be said of tensors without knowing what they mean: are they numbers, how many rows, do they differ?

Runs in the worker, beside the version: answers may be large, and what is said of them is small.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LONGEST_WORD = 200

Array = NDArray[Any]
Answer = Mapping[str, Array]

_SAME = 1e-6
"""Share of the largest number by which one and the same answer may differ: a few float32 roundings."""


def numbers(value: Array) -> Array | None:
    """The value as float64 or complex128 when its type can hold a NaN, else None."""
    if value.dtype.kind == "c":
        return value.astype(np.complex128)
    # bfloat16 and the 8-bit floats are types of their own that numpy does not count among floats.
    if value.dtype.kind == "f" or "float" in value.dtype.name:
        return value.astype(np.float64)
    return None


def finite(value: Array) -> bool:
    """Whether it holds no NaN and no infinity."""
    found = numbers(value)
    return found is None or bool(np.isfinite(found).all())


def any_finite(value: Array) -> bool:
    """Whether a number in it is finite; true of what can hold nothing else, and of no number at all."""
    found = numbers(value)
    return found is None or not found.size or bool(np.isfinite(found).any())


def largest(values: Sequence[Array]) -> float:
    """The largest finite magnitude among them; 1 when all is zero or no number."""
    found = [numbers(value) for value in values]
    sizes = [np.abs(each[np.isfinite(each)]) for each in found if each is not None]
    return max((float(each.max()) for each in sizes if each.size), default=0.0) or 1.0


def apart(one: Array, other: Array, scale: float) -> float:
    """How far two values lie apart, as a share of `scale`; infinite when they cannot be compared or are no numbers."""
    if one.shape != other.shape:
        return float("inf")
    a, b = numbers(one), numbers(other)
    if a is None or b is None:
        return 0.0 if np.array_equal(one, other) else float("inf")
    different = a != b
    different &= ~(np.isnan(a) & np.isnan(b))
    if not different.any():
        return 0.0
    # A difference to NaN or infinity is none that rounding makes.
    with np.errstate(invalid="ignore"):
        worst = float(np.abs(a[different] - b[different]).max())
    return worst / scale if np.isfinite(worst) else float("inf")


def mismatch(info: Any, value: Array) -> str:
    """How a value differs from what its signature declares of it; empty when it does not."""
    import tensorflow as tf

    declared, found = tf.as_dtype(info.dtype), tf.as_dtype(value.dtype)
    sides = None if info.tensor_shape.unknown_rank else [int(dim.size) for dim in info.tensor_shape.dim]
    fits = sides is None or (
        len(sides) == value.ndim and all(a in (-1, b) for a, b in zip(sides, value.shape, strict=True))
    )
    if fits and declared == found:
        return ""
    return f"{found.name} {list(value.shape)}, declared as {declared.name} {sides if sides is not None else '?'}"


def words(value: Array) -> list[str]:
    """The elements of a vector of strings or integers as text; nothing of any other tensor."""
    if value.ndim != 1 or value.dtype.kind not in "Oiu":
        return []
    return [
        each.decode(errors="replace")[:_LONGEST_WORD] if isinstance(each, bytes) else str(each)
        for each in value.tolist()
    ]


class Seen:
    """What is known of one output after many batches; of its numbers only the rows of `width` are kept."""

    def __init__(self, info: Any, width: int) -> None:
        self._info = info
        self._wanted = width
        self._count = 0
        self._per_image = True
        self._width: int | None = None
        self._kind = ""
        self._bad: list[int] = []
        self._first: Array | None = None
        self._varies = False
        self._rows: list[Array] = []
        self._words: list[str] = []
        self._mismatch = ""

    def add(self, value: Array, count: int) -> None:
        """Take in the answer to a batch of `count` pictures."""
        self._mismatch = self._mismatch or mismatch(self._info, value)
        self._kind = value.dtype.name
        per_image = value.ndim > 0 and value.shape[0] == count
        self._per_image &= per_image
        width = value.shape[1] if value.ndim == 2 else -1
        self._width = width if self._width in (None, width) else -1
        rows = [value[n : n + 1] for n in range(count)] if per_image else [value] * count
        self._bad += [self._count + n for n, row in enumerate(rows) if not finite(row)]
        for row in rows:
            self._varies = self._varies or self._differs(row)
        if per_image and width == self._wanted:
            found = numbers(value)
            self._rows += [] if found is None or found.dtype != np.float64 else [found]
        self._words += words(value) if per_image else []
        self._count += count

    def _differs(self, row: Array) -> bool:
        if self._first is None:
            self._first = row
        return apart(self._first, row, largest([self._first, row])) > _SAME

    def facts(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, 0))
        whole = self._per_image and len(rows) == self._count
        return {
            "kind": self._kind,
            "per_image": self._per_image,
            "width": -1 if self._width is None else self._width,
            "not_finite": self._bad,
            "varies": self._varies,
            "rows": base64.b64encode(rows.astype("<f8").tobytes()).decode() if whole else "",
            "words": self._words if self._per_image else [],
            "mismatch": self._mismatch,
        }
