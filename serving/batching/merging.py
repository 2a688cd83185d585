"""Stacking the tensors of several requests on dimension 0, and taking the results apart again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import Code, ServingError, invalid

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

_HIGHEST_PADDED_RANK = 6


def rows_of(feeds: Feeds) -> int:
    """The number of rows that all tensors share; raises INVALID_ARGUMENT when there is no such number."""
    if not feeds:
        raise invalid("Batching session Run() must have at least one input tensor")
    values = list(feeds.values())
    for value in values:
        if not value.ndim:
            raise invalid("Batching Run() input tensors must have at least one dimension")
        if len(value) != len(values[0]):
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return len(values[0])


def merge(members: Sequence[Feeds], extra_rows: int, pad: bool) -> dict[str, Array]:
    """Stack the feeds of `members`, and `extra_rows` copies of the last one's first row.

    With `pad`, tensors grow to the largest of each dimension, filled with their own first element; without,
    different shapes raise FAILED_PRECONDITION.
    """
    merged = {}
    for name in members[0]:
        values = [member[name] for member in members]
        _check_types(name, values)
        if pad:
            values = _padded(name, values)
        elif any(value.shape[1:] != values[0].shape[1:] for value in values):
            raise _different_shapes(name)
        values += [values[-1][:1]] * extra_rows
        merged[name] = values[0] if len(values) == 1 else np.concatenate(values)
    return merged


def split(
    names: Sequence[str], values: Sequence[Array], sizes: Sequence[int], extra_rows: int
) -> list[dict[str, Array]]:
    """Divide results between requests of `sizes` rows; raises FAILED_PRECONDITION for other numbers of rows."""
    total = sum(sizes) + extra_rows
    for value in values:
        if not value.ndim:
            raise ServingError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(value) != total:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input"
                " tensors",
            )
    parts, start = [], 0
    for size in sizes:
        parts.append({name: value[start : start + size] for name, value in zip(names, values, strict=True)})
        start += size
    return parts


def _check_types(name: str, values: Sequence[Array]) -> None:
    """NumPy would find a common type, and with it answer what the graph refuses."""
    if any(value.dtype != values[0].dtype for value in values):
        raise ServingError(Code.INTERNAL, f"Tensors with name '{name}' from different tasks have different types")


def _padded(name: str, values: list[Array]) -> list[Array]:
    rank = values[0].ndim
    if any(value.ndim != rank for value in values):
        raise _different_shapes(name)
    if rank > _HIGHEST_PADDED_RANK:
        raise invalid("Only tensors with rank from 1 to 6 can be padded.")
    largest = tuple(max(value.shape[axis] for value in values) for axis in range(1, rank))
    return [value if value.shape[1:] == largest else _grown(value, largest) for value in values]


def _grown(value: Array, largest: tuple[int, ...]) -> Array:
    fill: Any = value.flat[0] if value.size else (b"" if value.dtype == object else 0)
    grown = np.full((len(value), *largest), fill, dtype=value.dtype)
    grown[tuple(slice(size) for size in value.shape)] = value
    return grown


def _different_shapes(name: str) -> ServingError:
    return ServingError(
        Code.FAILED_PRECONDITION,
        f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set"
        " pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions"
        " starting with the first dim.",
    )
