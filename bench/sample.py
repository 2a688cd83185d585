"""One slice of a measurement."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator

import psutil

from bench.processes import Tree


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one engine did in one slice.

    `rate` is images (requests have one each) per second. Shares are of all the CPU of the machine during the slice:
    the engine's, the load generator's, and that of processes that have nothing to do with it. None: not known.
    """

    rate: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_s_per_1000: float | None
    engine_share: float | None
    generator_share: float
    others_share: float | None
    answers: int
    failed: int


@dataclasses.dataclass
class Spent:
    """CPU seconds of the engine and of the whole machine over a stretch of time, filled in at its end."""

    wall_s: float = 0.0
    engine_s: float | None = None
    machine_s: float = 0.0

    def shares(self, generator_s: float) -> tuple[float | None, float, float | None]:
        """Shares of the machine's CPU: the engine's, the generator's, and all others'."""
        whole = self.wall_s * (os.cpu_count() or 1)
        if self.engine_s is None:
            return None, generator_s / whole, None
        others = max(0.0, self.machine_s - self.engine_s - generator_s)
        return self.engine_s / whole, generator_s / whole, others / whole

    def per_1000(self, images: int) -> float | None:
        """The engine's CPU seconds per 1000 images."""
        return self.engine_s / images * 1000 if self.engine_s is not None and images else None


@contextlib.contextmanager
def spending(tree: Tree | None) -> Iterator[Spent]:
    """Measure the CPU time that is spent inside the block."""
    spent = Spent()
    began, machine, engine = time.monotonic(), _busy_s(), tree.cpu_s() if tree else 0.0
    yield spent
    spent.wall_s = time.monotonic() - began
    spent.machine_s = _busy_s() - machine
    if tree is not None:
        spent.engine_s = tree.cpu_s() - engine


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)
