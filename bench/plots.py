"""Throughput and p99 against the number of clients, a picture per model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.results import CaseResult, Results
from bench.statistics import Spread

_FORMATS = {"model-server": "o-", "fastapi": "s--", "bare": "^:"}


def write(results: Results, folder: Path) -> None:
    """Write `folder`/<model>.png for every model that was measured."""
    cases = sorted(results.cases, key=lambda result: result.case.model.name)
    for name, group in itertools.groupby(cases, key=lambda result: result.case.model.name):
        _write(name, list(group), folder / f"{name}.png")


def _write(title: str, results: Sequence[CaseResult], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    payloads = list(dict.fromkeys(result.case.payload for result in results))
    figure = Figure(figsize=(3.2 * len(payloads), 5.5), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(2, len(payloads), sharex=True, squeeze=False)
    for column, payload in enumerate(payloads):
        of_payload = [result for result in results if result.case.payload == payload]
        _draw(rows[0][column], of_payload, CaseResult.rate)
        _draw(rows[1][column], of_payload, _p99)
        rows[0][column].set_title(payload)
        rows[1][column].set_xlabel("clients")
        rows[0][column].set_ylim(bottom=0)
        rows[1][column].set_yscale("log")
        rows[1][column].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        rows[1][column].yaxis.set_major_formatter("{x:g}")
        rows[1][column].yaxis.set_minor_formatter(NullFormatter())
    rows[0][0].set_ylabel("images/s")
    rows[1][0].set_ylabel("p99, ms")
    rows[0][0].legend()
    figure.savefig(path, dpi=110)


def _draw(axes: Any, results: Sequence[CaseResult], value: Callable[[CaseResult, str], Spread | None]) -> None:
    for engine in dict.fromkeys(name for result in results for name in result.samples):
        points = [
            (result.case.clients, spread)
            for result in results
            if engine in result.samples and (spread := value(result, engine)) is not None
        ]
        if points:
            clients, spreads = zip(*points, strict=True)
            medians = [spread.median for spread in spreads]
            bars = [
                [spread.median - spread.low for spread in spreads],
                [spread.high - spread.median for spread in spreads],
            ]
            axes.errorbar(clients, medians, bars, fmt=_FORMATS.get(engine, "x-."), capsize=2, label=engine)
    axes.set_xscale("log", base=2)
    ticks = sorted({result.case.clients for result in results})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.grid(alpha=0.3)


def _p99(result: CaseResult, engine: str) -> Spread | None:
    values = [sample.p99_ms for sample in result.samples[engine] if sample.p99_ms is not None]
    return Spread.of(values) if values else None
