"""How a version does under its clients' requests: failures and latency from the server's own metrics."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping

from bundle.errors import BundleError
from rollout import interrupt, probe
from rollout.client import STATUS_TIMEOUT_S
from rollout.model import Model

_REQUESTS = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
_BUCKET = "latency_us_le_"
_LOOK_S = 1.0
_PROBE_EVERY = 5
_LEAST_FAILURES = 5
_LEAST_ANSWERS = 50
# What a client asked wrongly by naming a model or version that is not there is no fault of the one that is.
_NO_FAULT = frozenset({"OK", "NOT_FOUND"})


class Breach(BundleError):
    """A version does worse than the one before it."""


@dataclasses.dataclass(frozen=True)
class Counters:
    """Requests of one model since its server started; `buckets` is upper bound in microseconds to count."""

    answered: int = 0
    failed: int = 0
    buckets: Mapping[float, int] = dataclasses.field(default_factory=dict)

    def since(self, earlier: Counters) -> Counters:
        """What was added; everything when the server was started anew in between."""
        if self.answered < earlier.answered or self.failed < earlier.failed:
            return self
        buckets = {bound: count - earlier.buckets.get(bound, 0) for bound, count in self.buckets.items()}
        return Counters(self.answered - earlier.answered, self.failed - earlier.failed, buckets)

    @property
    def failure_rate(self) -> float:
        """Failed requests as a share of all."""
        return self.failed / max(1, self.answered + self.failed)

    def quantile_ms(self, share: float) -> float:
        """The latency that `share` of the answers stayed below; straight within a bucket, 0 when there are none."""
        wanted = share * self.answered
        seen, lower = 0, 0.0
        for bound, count in sorted(self.buckets.items()):
            if count and seen + count >= wanted:
                upper = lower if bound == float("inf") else bound
                return (lower + (upper - lower) * (wanted - seen) / count) / 1000
            seen, lower = seen + count, bound
        return 0.0

    def figures(self) -> dict[str, float]:
        """The same for the ledger; buckets that hold nothing are left out."""
        buckets = {f"{_BUCKET}{bound:g}": float(count) for bound, count in self.buckets.items() if count}
        return {"answered": self.answered, "failed": self.failed, **buckets}


def from_figures(figures: Mapping[str, float]) -> Counters:
    """Counters as a line of the ledger holds them; zero when it holds none."""
    buckets = {float(name.removeprefix(_BUCKET)): int(n) for name, n in figures.items() if name.startswith(_BUCKET)}
    return Counters(int(figures.get("answered", 0)), int(figures.get("failed", 0)), buckets)


def counters(model: Model) -> Counters | None:
    """The counters of now; None when the server does not answer or reports no metrics."""
    try:
        page = model.client.within(STATUS_TIMEOUT_S).metrics() if model.client else None
    except BundleError:
        return None
    return None if page is None else read(page, model.name)


def snapshot(model: Model) -> dict[str, float]:
    """The counters of now as figures for the ledger; empty when there are none."""
    now = counters(model)
    return {} if now is None else now.figures()


def read(page: str, model: str) -> Counters:
    """The counters of `model` on a page of the server's metrics."""
    from prometheus_client.parser import text_string_to_metric_families

    failed = 0
    cumulative: dict[float, int] = {}
    for sample in itertools.chain.from_iterable(f.samples for f in text_string_to_metric_families(_ours(page))):
        if sample.labels.get("model_name") != model:
            continue
        if sample.name.startswith(_REQUESTS) and sample.labels["status"] not in _NO_FAULT:
            failed += int(sample.value)
        elif sample.name == f"{_LATENCY}_bucket" and sample.labels["API"]:  # Without: a look at the status.
            bound = float(sample.labels["le"])
            cumulative[bound] = cumulative.get(bound, 0) + int(sample.value)
    below = 0
    buckets = {}
    for bound, count in sorted(cumulative.items()):
        buckets[bound], below = count - below, count
    return Counters(below, failed, buckets)


def _ours(page: str) -> str:
    """The lines of the two metrics, without the hundreds that TensorFlow adds."""
    return "".join(f"{line}\n" for line in page.splitlines() if line.startswith((_REQUESTS, _LATENCY)))


def watch(model: Model, version: int, before: Counters | None) -> None:
    """Return when the version did well for WATCH_SECONDS, or was taken away by somebody; raises Breach.

    `before` are the counters of when the version before it answered alone.
    """
    earlier = counters(model)
    at_start = before or Counters()
    baseline = earlier.since(at_start) if earlier else Counters()
    if baseline.answered < _LEAST_ANSWERS:  # It was quiet while the version was checked.
        baseline = earlier or Counters()
    deadline = time.monotonic() + model.settings.watch_seconds
    for look in itertools.count():
        if model.live() != version:
            return
        now = counters(model)
        if now is not None and earlier is not None:
            _judge(model, baseline, now.since(earlier))
        if look % _PROBE_EVERY == 0:
            _ask(model, version)
        if time.monotonic() >= deadline:
            return
        interrupt.look_up()
        time.sleep(_LOOK_S)


def _judge(model: Model, before: Counters, after: Counters) -> None:
    allowed = before.failure_rate + model.settings.watch_error_rate
    if after.failed >= _LEAST_FAILURES and after.failure_rate > allowed:
        raise Breach(
            f"{after.failed} of {after.failed + after.answered} requests failed ({after.failure_rate:.1%}); "
            f"{before.failure_rate:.1%} did before, WATCH_ERROR_RATE allows {model.settings.watch_error_rate:.1%} more"
        )
    if min(before.answered, after.answered) < _LEAST_ANSWERS:
        return
    was, is_now = before.quantile_ms(0.5), after.quantile_ms(0.5)
    if is_now > model.settings.watch_slowdown * was:
        raise Breach(
            f"its median latency is {is_now:.3g} ms over {after.answered} requests, {was:.3g} ms before; "
            f"WATCH_SLOWDOWN allows {model.settings.watch_slowdown:g} times"
        )


def _ask(model: Model, version: int) -> None:
    folder = model.folders().get(version)
    if model.client is None or folder is None:
        return
    try:
        probe.require_right_answers(model.client, model.name, version, folder)
    except probe.WrongAnswers as error:
        if model.live() == version:
            raise Breach(str(error)) from error
