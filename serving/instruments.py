"""Counters and histograms that cost a request next to nothing; the Prometheus client's registry collects them."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Series:
    """What was counted under one set of labels; `counts` has one number per bucket, a counter only one."""

    __slots__ = ("_lock", "counts", "total")

    def __init__(self, buckets: int) -> None:
        self._lock = threading.Lock()
        self.counts = [0] * buckets
        self.total: float = 0

    def add(self, amount: float, bucket: int = 0) -> None:
        """Add `amount`, from any thread."""
        with self._lock:
            self.counts[bucket] += 1
            self.total += amount

    def read(self) -> tuple[list[int], float]:
        """The counts and the total of one moment."""
        with self._lock:
            return self.counts.copy(), self.total


class Family(Collector):
    """One metric by its path: a counter, or with the upper bounds of its `buckets` a histogram."""

    def __init__(
        self,
        path: str,
        labels: Sequence[str],
        buckets: Sequence[float] | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.path = path
        self._labels = tuple(labels)
        self._bounds = None if buckets is None else list(buckets)
        self._series: dict[Labels, Series] = {}
        if not labels:
            self._of(())
        if registry is not None:
            registry.register(self)

    def add(self, amount: float, *labels: str) -> None:
        """Increase the counter of a label set."""
        self._of(labels).add(amount)

    def observe(self, value: float, *labels: str) -> None:
        """Record a value; one that equals a bound counts in the bucket above, as on the real server."""
        assert self._bounds is not None
        self._of(labels).add(value, bisect_right(self._bounds, value))

    def first(self) -> int:
        """The value of the first series of a counter in the order of their labels, or 0."""
        series = dict(self._series)
        return int(series[min(series)].read()[1]) if series and self._bounds is None else 0

    def collect(self) -> Iterable[Metric]:
        """What was counted until now, as the registry wants it."""
        name = self.path.replace("/", ":")
        if self._bounds is None:
            counter = CounterMetricFamily(name, self.path, labels=self._labels)
            for labels, series in dict(self._series).items():
                counter.add_metric(labels, series.read()[1])
            return [counter]
        histogram = HistogramMetricFamily(name, self.path, labels=self._labels)
        for labels, series in dict(self._series).items():
            counts, total = series.read()
            histogram.add_metric(labels, self._cumulative(counts), total)
        return [histogram]

    def _cumulative(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        buckets: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip([*map(str, self._bounds or ()), "+Inf"], counts, strict=True):
            below += count
            buckets.append((bound, below))
        return buckets

    def _of(self, labels: Labels) -> Series:
        series = self._series.get(labels)
        if series is not None:
            return series
        return self._series.setdefault(labels, Series(1 if self._bounds is None else len(self._bounds) + 1))
