"""Measuring: all engines on one model, a slice of each in turn, so that a slow minute of the machine hits all alike."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench import generators
from bench.cases import REST_BYTES, REST_JSON, Case, Model
from bench.engines.base import Engine
from bench.engines.network import NetworkEngine
from bench.results import CaseResult
from bench.sample import Sample
from bundle import output
from bundle.errors import BundleError

Round = dict[str, Sample]
Start = Callable[[Model, Path], Engine | None]

_ANSWERS_PER_CLIENT = 50
"""What a slice must hold for wrk, which counts what falls into a stretch of time, whole batches or not."""

_TOLERANCE = 1e-3
_DISTURBED = 0.1
"""Share of the machine's CPU that other processes may take in a slice."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long and how often: `rounds` slices per engine of `slice_s` seconds; `generator` is auto, wrk or own."""

    rounds: int
    slice_s: float
    generator: str


@contextlib.contextmanager
def running(starts: Sequence[Start], model: Model, work: Path) -> Iterator[list[Engine]]:
    """The engines that can serve `model`, each held still; all ended at the end of the block."""
    with contextlib.ExitStack() as stack:
        engines = []
        for start in starts:
            engine = start(model, work)
            if engine is not None:
                stack.callback(engine.close)
                engine.hold()
                engines.append(engine)
        yield engines


@contextlib.contextmanager
def awake(engine: Engine) -> Iterator[None]:
    """Let `engine` run inside the block only."""
    engine.resume()
    try:
        yield
    finally:
        engine.hold()


def check_same_answers(engines: Sequence[Engine], model: Model) -> None:
    """Raise BundleError unless all engines give the same logits: otherwise they do not serve the same model."""
    for payload in (REST_JSON, REST_BYTES):
        case = Case(model, payload, 1)
        answers = {engine.name: _ask(engine, case) for engine in engines if isinstance(engine, NetworkEngine)}
        (first, expected), *others = answers.items() if answers else [("", [])]
        for name, answer in others:
            if not np.allclose(answer, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise BundleError(f"{name} and {first} answer {case.name} differently: {answer} and {expected}")


def interleaved(engines: Sequence[Engine], case: Case, pace: Pace) -> CaseResult | None:
    """`case` on every engine that can answer it, a slice of each per round; None when none can."""
    engines = [engine for engine in engines if engine.answers(case)]
    if not engines:
        return None
    quickest = {engine.name: _warm_up(engine, case) for engine in engines}
    servers = [quickest[engine.name] for engine in engines if isinstance(engine, NetworkEngine)]
    generator = _generator(case, pace, min(servers, default=0.0))
    rounds = _quietest(lambda: _round(engines, case, pace.slice_s, generator), pace.rounds)
    return CaseResult(case, generator, {engine.name: [each[engine.name] for each in rounds] for engine in engines})


def report_progress(result: CaseResult) -> None:
    """One line with the rate of each engine, and how many times it the reference has."""
    parts = []
    for engine in result.samples:
        ratio = result.ratio(engine)
        times = f" (x{ratio.median:.2f}, {ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""
        failed = sum(sample.failed for sample in result.samples[engine])
        parts.append(f"{engine} {result.rate(engine).median:.0f}/s{times}{f', {failed} FAILED' if failed else ''}")
    output.step(f"{result.case.name} c={result.case.clients} [{result.generator}]: {', '.join(parts)}")


def _quietest(measure: Callable[[], Round], count: int) -> list[Round]:
    """`count` rounds; those that were disturbed are measured again, up to `count` times."""
    rounds: list[Round] = []
    while sum(_disturbance(each) <= _DISTURBED for each in rounds) < count and len(rounds) < 2 * count:
        rounds.append(measure())
    return sorted(rounds, key=_disturbance)[:count]


def _round(engines: Sequence[Engine], case: Case, slice_s: float, generator: str) -> Round:
    samples = {}
    for engine in engines:
        with awake(engine):
            samples[engine.name] = engine.measure(case, slice_s, generator)
    return samples


def _disturbance(samples: Round) -> float:
    """The largest share of the machine that others took while it was measured."""
    return max(sample.others_share or 0.0 for sample in samples.values())


def _ask(engine: NetworkEngine, case: Case) -> list[float]:
    with awake(engine):
        return engine.ask(case)


def _warm_up(engine: Engine, case: Case) -> float:
    with awake(engine):
        return engine.warm_up(case)


def _generator(case: Case, pace: Pace, rate: float) -> str:
    if not case.is_rest or pace.generator == generators.OWN:
        return generators.OWN
    if pace.generator == generators.WRK:
        return generators.WRK
    enough = rate * pace.slice_s >= _ANSWERS_PER_CLIENT * case.clients
    return generators.WRK if enough and generators.has_wrk() else generators.OWN
