"""What a run found out, as it is written to results.json."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from bench.cases import Case
from bench.sample import Sample
from bench.statistics import Spread
from bundle import files

REFERENCE = "model-server"
"""The engine that the others are compared with."""


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """One case: the slices of each engine, a slice of each per round."""

    case: Case
    generator: str
    samples: dict[str, list[Sample]]

    def rate(self, engine: str) -> Spread:
        """Images per second over the rounds."""
        return Spread.of([sample.rate for sample in self.samples[engine]])

    def ratio(self, engine: str) -> Spread | None:
        """How many times the rate of `engine` the reference has, round by round; None when it was not measured."""
        if REFERENCE not in self.samples or engine == REFERENCE:
            return None
        rounds = zip(self.samples[REFERENCE], self.samples[engine], strict=True)
        return Spread.of([ours.rate / theirs.rate for ours, theirs in rounds])


@dataclasses.dataclass(frozen=True)
class EngineFacts:
    """One engine with one model. Times in seconds, memory in MB; None: not known, or not applicable."""

    engine: str
    model: str
    start_s: float | None
    served_s: float | None
    rss_mb: float | None
    rss_after_load_mb: float | None


@dataclasses.dataclass(frozen=True)
class SwitchResult:
    """One version switch under load. Latencies in ms: before it, while the version loaded, in the second around it."""

    model: str
    clients: int
    answers: int
    failed: int
    served_s: float
    steady_p50_ms: float
    steady_p99_ms: float
    loading_p50_ms: float
    loading_p99_ms: float
    switch_p50_ms: float
    switch_p99_ms: float
    rate: float


@dataclasses.dataclass
class Results:
    """A whole run; grows while it goes on."""

    machine: dict[str, Any]
    command: str
    began: str
    cases: list[CaseResult] = dataclasses.field(default_factory=list)
    engines: list[EngineFacts] = dataclasses.field(default_factory=list)
    switches: list[SwitchResult] = dataclasses.field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write results.json, whole or not at all."""
        files.write_atomically(folder / "results.json", json.dumps(dataclasses.asdict(self), indent=1) + "\n")
