"""What the server counts, under the real server's metric names, in the Prometheus client's registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.instruments import Family

REGISTRY: Final = CollectorRegistry(auto_describe=False)


def exponential(scale: float, growth: float, count: int) -> list[float]:
    """The upper bounds of `count` buckets, each `growth` times as high as the one before."""
    return [scale * growth**n for n in range(count)]


_families: Final[dict[str, Family]] = {}


def _family(path: str, labels: Sequence[str], buckets: Sequence[float] | None = None) -> Family:
    family = _families[path] = Family(path, labels, buckets, REGISTRY)
    return family


_LATENCY_BUCKETS: Final = exponential(10, 1.8, 33)
_requests = _family("/tensorflow/serving/request_count", ("model_name", "status"))
_request_latency = _family("/tensorflow/serving/request_latency", ("model_name", "API", "entrypoint"), _LATENCY_BUCKETS)
_runtime_latency = _family("/tensorflow/serving/runtime_latency", ("model_name", "API", "runtime"), _LATENCY_BUCKETS)
_example_counts = _family("/tensorflow/serving/request_example_counts", ("model",), exponential(1, 2, 15))
_example_total = _family("/tensorflow/serving/request_example_count_total", ("model",))
_request_log = _family("/tensorflow/serving/request_log_count", ("model_name", "status_code"))
_warmup_latency = _family(
    "/tensorflow/serving/model_warmup_latency", ("model_path", "status"), exponential(10, 1.8, 33)
)
_load_attempts = _family("/tensorflow/cc/saved_model/load_attempt_count", ("model_path", "status"))
_load_latency = _family("/tensorflow/cc/saved_model/load_latency", ("model_path",))
_BATCH_SIZES: Final = exponential(1, 2, 14)


_batching_lock: Final = threading.Lock()


def _batching(name: str, labels: Sequence[str] = (), buckets: Sequence[float] | None = None) -> Family:
    """A metric that is on the page only when batching was asked for and has begun."""
    path = f"/tensorflow/serving/batching_session/{name}"
    with _batching_lock:
        return _families.get(path) or _family(path, labels, buckets)


@contextmanager
def runtime(model: str, api: str) -> Iterator[None]:
    """Measure one session run."""
    started = time.perf_counter()
    yield
    ran(model, api, time.perf_counter() - started)


def ran(model: str, api: str, seconds: float) -> None:
    """Record how long a session run took."""
    _runtime_latency.observe(_microseconds(seconds), model, api, "TF1")


def examples(model: str, count: int) -> None:
    """Count the examples of a request."""
    _example_counts.observe(count, model)
    _example_total.add(count, model)


def request(model: str, status: str) -> None:
    """Count an answered request by the name of its status code."""
    _requests.add(1, model, status)


def latency(model: str, api: str, entrypoint: str, seconds: float) -> None:
    """Record how long a successful request took."""
    _request_latency.observe(_microseconds(seconds), model, api, entrypoint)


def loaded(path: str, seconds: float, succeeded: bool) -> None:
    """Count an attempt to load a version, and how long a successful one took."""
    _load_attempts.add(1, path, "success" if succeeded else "fail")
    if succeeded:
        _load_latency.add(_microseconds(seconds), path)


def warmed_up(path: str, seconds: float, status: str) -> None:
    """Record a warm-up."""
    _warmup_latency.observe(_microseconds(seconds), path, status)


def batch_input(rows: int) -> None:
    """Record the rows of a request that is to be batched."""
    _batching("input_batch_size", (), _BATCH_SIZES).observe(rows)


def batch_queued(pool: str, seconds: float) -> None:
    """Record how long a request was queued until its batch was taken."""
    buckets = exponential(100, 1.2, 52)
    _batching("queuing_latency", ("thread_pool_name",), buckets).observe(_microseconds(seconds), pool)


def batch_processed(rows: int, padding: int) -> None:
    """Record the size of a batch that is run, and how much of it is padding."""
    _batching("processed_batch_size", (), _BATCH_SIZES).observe(rows)
    _batching("padding_size", ("execution_batch_size",), _BATCH_SIZES).observe(padding, str(rows))


def batch_run() -> None:
    """Count a batch that was run."""
    _batching("wrapped_run_count").add(1)


class StackedSignature(Protocol):
    """What is shown of a signature whose requests may be stacked."""

    model: str
    version: int
    name: str
    reason: str
    batches: int
    rows: int
    audits: int
    differences: int

    @property
    def is_stacked_because(self) -> str:
        """On what grounds; `none` when they run one by one."""


_STACKING_COUNTERS: Final = {
    "bundle_stacked_batches_total": "batches",
    "bundle_stacked_rows_total": "rows",
    "bundle_stacking_audits_total": "audits",
    "bundle_stacking_differences_total": "differences",
}


class _Stacking(Collector):
    """The signatures of the versions that are loaded now."""

    def __init__(self) -> None:
        self.signatures: dict[int, StackedSignature] = {}
        self.lock = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        """How each is run, why, and what was counted."""
        with self.lock:
            signatures = list(self.signatures.values())
        state = GaugeMetricFamily("bundle_stacking", "bundle_stacking", labels=(*_OF_SIGNATURE, "grounds", "reason"))
        counters = {name: CounterMetricFamily(name, name, labels=_OF_SIGNATURE) for name in _STACKING_COUNTERS}
        for each in signatures:
            labels = (each.model, str(each.version), each.name)
            state.add_metric((*labels, each.is_stacked_because, each.reason), 1)
            for name, attribute in _STACKING_COUNTERS.items():
                counters[name].add_metric(labels, getattr(each, attribute))
        return [state, *counters.values()] if signatures else []


_OF_SIGNATURE: Final = ("model", "version", "signature")
_stacking: Final = _Stacking()
REGISTRY.register(_stacking)


def stacking_began(signatures: Iterable[StackedSignature]) -> None:
    """Show these signatures from now on."""
    with _stacking.lock:
        _stacking.signatures.update((id(each), each) for each in signatures)


def stacking_ended(signatures: Iterable[StackedSignature]) -> None:
    """Show them no more: their version is unloaded."""
    with _stacking.lock:
        for each in signatures:
            _stacking.signatures.pop(id(each), None)


def values(paths: Iterable[str]) -> dict[str, int]:
    """The present value of each counter in `paths`, as far as its first series goes; 0 for what is no counter."""
    present = {}
    for path in paths:
        family = _families.get(path)
        present[path] = family.first() if family is not None else 0
    return present


def _microseconds(seconds: float) -> int:
    return int(seconds * 1e6)
