"""From requests to figures."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.load.recording import FIELDS


@dataclasses.dataclass(frozen=True)
class Requests:
    """Requests by the order of their ends: when each began and ended in seconds, and whether it was answered."""

    began: NDArray[np.float64]
    ended: NDArray[np.float64]
    answered: NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path) -> Requests:
        """The file that a load generator wrote."""
        table = np.fromfile(path, np.float64).reshape(-1, FIELDS)
        table = table[np.argsort(table[:, 1], kind="stable")]
        return cls(table[:, 0], table[:, 1], table[:, 2] == 1.0)

    def between(self, first: float, last: float) -> Requests:
        """Those that ended from `first` to `last`."""
        return self._only((self.ended >= first) & (self.ended <= last))

    def under_way(self, first: float, last: float) -> Requests:
        """Those that a client was waiting for at any moment from `first` to `last`, however late they ended."""
        return self._only((self.began <= last) & (self.ended >= first))

    def _only(self, chosen: NDArray[np.bool_]) -> Requests:
        return Requests(self.began[chosen], self.ended[chosen], self.answered[chosen])

    @property
    def failed(self) -> int:
        """How many were not answered."""
        return int((~self.answered).sum())

    def latency_ms(self, percent: float) -> float:
        """Percentile of the time that answered requests took; NaN when there is none."""
        took = (self.ended - self.began)[self.answered]
        return float(np.percentile(took, percent)) * 1e3 if len(took) else float("nan")

    def rate(self, clients: int) -> float:
        """Answers per second over whole cycles of `clients` answers; NaN when there is no whole cycle.

        Answers come in batches. After as many answers as there are clients everybody is where they were before, so
        that counting whole cycles has no half batch at either end.
        """
        ends = self.ended[self.answered]
        cycles = (len(ends) - 1) // clients
        return float(cycles * clients / (ends[cycles * clients] - ends[0])) if cycles > 0 else float("nan")


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of several rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"
