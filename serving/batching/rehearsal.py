"""Proving before a version serves that its requests can be stacked: afterwards clients would wait for the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving import probes
from serving.batching.dynamic import DynamicRunner
from serving.probes import Probe

Array = npt.NDArray[Any]

_MEMBERS: Final = 3


def rehearse(runner: DynamicRunner, tries: Sequence[Probe]) -> None:
    """Stack variants of what can be asked; what cannot be run is left to the first requests."""
    for probe in tries:
        if not all(value.ndim and len(value) for value in probe.feeds.values()):
            continue
        members = [_variant(probe.feeds, number) for number in range(_MEMBERS)]
        runner.rehearse(members, probe.fetches)


def _variant(feeds: Mapping[str, Array], number: int) -> dict[str, Array]:
    """One row of each tensor, different for each number."""
    return {name: _vary(value[number % len(value) :][:1], number) for name, value in feeds.items()}


def _vary(row: Array, number: int) -> Array:
    if row.dtype == object:
        return np.full(row.shape, probes.picture(number), dtype=object) if number else row
    return (row * (1 - number / 8)).astype(row.dtype) if row.dtype.kind == "f" else np.roll(row, number)
