"""Finding out from the first batches of a signature whether answers depend on who shared the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

# What summing in another order does to an answer, as a share of its largest number; mixed rows differ by far more.
_TOLERANCES: Final = {2: 2e-2, 4: 1e-4, 8: 1e-9}
PROOFS: Final = 3


class Proof:
    """What is known of one signature. Races between threads only cost a comparison more."""

    def __init__(self) -> None:
        self.refuted = False
        self._alike_agreed = False
        self._agreed = 0

    def covers(self, members: Sequence[Feeds]) -> bool:
        """Whether a batch like this one has been seen to answer as its members do alone."""
        return self._agreed >= PROOFS or (self._alike_agreed and _are_alike(members))

    def record(
        self, members: Sequence[Feeds], alone: Sequence[Sequence[Array]], together: Sequence[Sequence[Array]]
    ) -> None:
        """Take note of what `members` were answered alone and in one batch."""
        pairs = [pair for answers in zip(alone, together, strict=True) for pair in zip(*answers, strict=True)]
        if not all(_agree(one, other) for one, other in pairs):
            self.refuted = True
        elif _are_alike(members):
            self._alike_agreed = True
        else:
            self._agreed += 1


def _are_alike(members: Sequence[Feeds]) -> bool:
    """Whether all members consist of the same rows, so that mixing them would not show."""
    return all(len({_rows(member[name]) for member in members}) == 1 for name in members[0])


def _rows(value: Array) -> frozenset[Any]:
    if value.dtype == object:
        return frozenset(tuple(row.reshape(-1).tolist()) for row in value.reshape(len(value), -1))
    return frozenset(row.tobytes() for row in value)


def _agree(alone: Array, together: Array) -> bool:
    if alone.shape != together.shape or alone.dtype != together.dtype:
        return False
    tolerance = _TOLERANCES.get(alone.dtype.itemsize) if alone.dtype.kind in "fV" else None
    if tolerance is None:
        return bool(np.array_equal(alone, together))
    one, other = alone.astype(np.float64), together.astype(np.float64)
    finite = np.abs(one[np.isfinite(one)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True))
