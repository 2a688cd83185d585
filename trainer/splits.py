"""Splits that keep the share of every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of the kept and of the held-back samples, about `share` of every class held back.

    Of a class with two samples or more, at least one is kept and one held back; a single sample is kept.
    """
    random = np.random.default_rng(seed)
    kept: list[Indices] = []
    held: list[Indices] = []
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        count = _held_count(len(members), share)
        held.append(members[:count])
        kept.append(members[count:])
    return _joined(kept), _joined(held)


def _held_count(members: int, share: float) -> int:
    if members < 2:
        return 0
    return min(max(round(members * share), 1), members - 1)


def _joined(parts: list[Indices]) -> Indices:
    return np.sort(np.concatenate(parts)).astype(np.int64) if parts else np.empty(0, np.int64)
