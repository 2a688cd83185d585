"""How long a candidate takes to answer compared with the live version: short turns, one after the other.

Whatever else the machine does meets both alike, so the ratio holds also where the times do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bundle.settings import Settings
from rollout.gate.process import Failed
from rollout.gate.report import Finding
from rollout.gate.version import Version

BATCH_SIZES = (1, 16)

_ROUNDS = 11
_TURN_S = 0.04
_MOST_RUNS = 200
_BUDGET_S = 8.0
_TRIES = 2

_NEGLIGIBLE_S = 0.0002
"""A difference that no client can notice: an HTTP request alone takes more."""

Turn = Callable[[int], tuple[float, ...]]


def compare(candidate: Version, live: Version, signature: str, images: Sequence[Path], settings: Settings) -> Finding:
    """Whether the candidate's median time stays within MAX_SLOWDOWN of the live version's at every batch size."""
    figures: dict[str, float] = {}
    told, problems = [], []
    for batch in _askable(candidate, signature, images):
        ours, theirs = _until_within(
            partial(candidate.durations, signature, batch, images),
            partial(live.durations, signature, batch, images),
            settings.max_slowdown,
        )
        ratio = ours / theirs
        figures |= {f"ms_{batch}": ours * 1e3, f"live_ms_{batch}": theirs * 1e3, f"ratio_{batch}": ratio}
        text = f"{ours * 1e3:.2f} ms for {batch} (live: {theirs * 1e3:.2f} ms, {ratio:.2f} times)"
        told.append(text)
        if _is_too_slow(ours, theirs, settings.max_slowdown):
            problems.append(text)
    if problems:
        detail = f"{signature} takes {', '.join(problems)}; at most {settings.max_slowdown:g} times is allowed"
        remedy = "make it faster, or raise MAX_SLOWDOWN if clients can wait"
        return Finding("latency", "failed", f"{detail} (MAX_SLOWDOWN)", remedy, figures)
    return Finding("latency", "passed", f"{signature}: {', '.join(told)}", figures=figures)


def alone(candidate: Version, signature: str, images: Sequence[Path]) -> Finding:
    """The candidate's times, with nothing to compare them with."""
    figures, told = {}, []
    for batch in _askable(candidate, signature, images):
        seconds = _median(partial(candidate.durations, signature, batch, images))
        figures[f"ms_{batch}"] = seconds * 1e3
        told.append(f"{seconds * 1e3:.2f} ms for {batch}")
    return Finding("latency", "noted", f"{signature}: {', '.join(told)}; nothing to compare with", figures=figures)


def _askable(candidate: Version, signature: str, images: Sequence[Path]) -> list[int]:
    """The batch sizes that the candidate can be asked, the first of them in any case."""
    sizes = list(BATCH_SIZES)
    try:
        candidate.durations(signature, sizes[-1], images, 1)
    except Failed:
        del sizes[-1]
    return sizes


def _median(turn: Turn) -> float:
    began = time.monotonic()
    found: list[float] = []
    while len(found) < _ROUNDS and (not found or time.monotonic() - began < _BUDGET_S):
        found += turn(1)
    return statistics.median(found)


def _until_within(ours: Turn, theirs: Turn, most: float) -> tuple[float, float]:
    """Both medians; measured once more when the first result would refuse the candidate."""
    best: tuple[float, float] | None = None
    for _ in range(_TRIES):
        found = _medians(ours, theirs)
        if best is None or found[0] / found[1] < best[0] / best[1]:
            best = found
        if not _is_too_slow(*best, most):
            break
    assert best is not None
    return best


def _medians(ours: Turn, theirs: Turn) -> tuple[float, float]:
    runs = [_runs_per_turn(turn) for turn in (ours, theirs)]
    began = time.monotonic()
    medians: list[tuple[float, float]] = []
    while len(medians) < _ROUNDS:
        medians.append((statistics.median(ours(runs[0])), statistics.median(theirs(runs[1]))))
        if time.monotonic() - began > _BUDGET_S:
            break
    return statistics.median(a for a, _ in medians), statistics.median(b for _, b in medians)


def _runs_per_turn(turn: Turn) -> int:
    turn(1)  # The first run of a batch size may optimise the graph.
    if min(turn(1)) > _BUDGET_S / _ROUNDS:
        return 1
    return max(1, min(_MOST_RUNS, int(_TURN_S / max(turn(3)))))


def _is_too_slow(ours: float, theirs: float, most: float) -> bool:
    return ours > most * theirs and ours - theirs > _NEGLIGIBLE_S
