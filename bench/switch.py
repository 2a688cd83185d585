"""Version switches: how long a published folder takes to be served, and what clients notice while it happens."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from bench import generators, savedmodels
from bench.cases import REST_BYTES, Case, Model
from bench.engines.base import Engine
from bench.engines.network import NetworkEngine
from bench.engines.start import base_path, model_server
from bench.results import Results, SwitchResult
from bench.statistics import Requests
from bundle import output
from bundle import publish as publishing
from bundle.errors import BundleError

CLIENTS = 16
STEADY_S = 3.0
AROUND_S = 1.0
"""The second of the switch: half of it before the new version is AVAILABLE, half of it after."""

_SETTLE_S = 3.0
_SUBJECTS = ("lenet-28", "resnet-32")
_DEADLINE_S = 120.0
_POLL_S = 0.01
_LONGEST_S = 600.0


@dataclasses.dataclass(frozen=True)
class Published:
    """Moments (time.monotonic) of a version: when copying began, when it appeared, when it was AVAILABLE."""

    began: float
    appeared: float
    available: float

    @property
    def served_s(self) -> float:
        """From the folder's appearance until it was served."""
        return self.available - self.appeared


def is_measured(model: Model) -> bool:
    """Whether switches of `model` are measured: of those that are quick enough to show what a switch does."""
    return model.subject.name in _SUBJECTS


def publish(engine: Engine, base: Path, work: Path) -> Published:
    """Publish a copy of the model as the next version and wait until `engine` says that it is AVAILABLE."""
    assert isinstance(engine, NetworkEngine)
    appeared: list[float] = []
    began = time.monotonic()
    with publishing.staged(savedmodels.folder(engine.model), base, work / "quarantine") as copy:
        version = publishing.go_live(copy, base, work / "quarantine", lambda _: appeared.append(time.monotonic()))
    deadline = time.monotonic() + _DEADLINE_S
    while not engine.is_available(version.number):
        if time.monotonic() > deadline:
            raise BundleError(f"{engine.model.name} version {version.number} was not served within {_DEADLINE_S:g} s")
        time.sleep(_POLL_S)
    return Published(began, appeared[0], time.monotonic())


def measure(model: Model, switches: int, work: Path, results: Results) -> None:
    """Switch versions of `model` under load, `switches` times; what was seen goes into `results`."""
    engine = model_server(model, work)
    try:
        assert isinstance(engine, NetworkEngine)
        case = Case(model, REST_BYTES, CLIENTS)
        engine.warm_up(case)
        with generators.own(engine.load(case), _LONGEST_S) as running:
            published = []
            for _ in range(switches):
                time.sleep(_SETTLE_S + STEADY_S)
                published.append(publish(engine, base_path(model, work), work))
            time.sleep(_SETTLE_S)
            running.stop()
            requests, _ = running.result()
    finally:
        engine.close()
    for moments in published:
        result = _result(case, requests, moments)
        results.switches.append(result)
        output.step(
            f"{model.name} c={CLIENTS}, switched: served after {result.served_s:.2f} s, {result.failed} failed, "
            f"p99 {result.steady_p99_ms:.1f} ms steady, {result.loading_p99_ms:.1f} ms while it loads, "
            f"{result.switch_p99_ms:.1f} ms in the second of the switch"
        )


def _result(case: Case, requests: Requests, moments: Published) -> SwitchResult:
    steady = requests.between(moments.began - STEADY_S, moments.began)
    # By when they were under way: one that the switch held up ends long after it.
    loading = requests.under_way(moments.appeared, moments.available)
    switch = requests.under_way(moments.available - AROUND_S / 2, moments.available + AROUND_S / 2)
    whole = requests.under_way(moments.began - STEADY_S, moments.available + _SETTLE_S)
    return SwitchResult(
        model=case.model.name,
        clients=case.clients,
        rate=steady.rate(case.clients),
        answers=int(whole.answered.sum()),
        failed=whole.failed,
        served_s=moments.served_s,
        steady_p50_ms=steady.latency_ms(50),
        steady_p99_ms=steady.latency_ms(99),
        loading_p50_ms=loading.latency_ms(50),
        loading_p99_ms=loading.latency_ms(99),
        switch_p50_ms=switch.latency_ms(50),
        switch_p99_ms=switch.latency_ms(99),
    )
