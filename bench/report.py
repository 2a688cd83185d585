"""The report: Markdown tables of what was measured, with the machine and the command."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import floors
from bench.floors import Compared
from bench.results import REFERENCE, CaseResult, EngineFacts, Results, SwitchResult
from bench.statistics import Spread

_HEAD = """\
# Benchmark

{command}

Begun {began}. {machine}

Engines are measured in turn, a slice of each per round; those that wait are stopped (SIGSTOP). A figure is the
median of its rounds. The ratio says how many times the rate of the engine {reference} has, round by round: median,
lowest to highest.
CPU is the engine's, in seconds per 1000 images. `load` is the share of the machine's CPU that the load generator took,
`rest` that of processes that have nothing to do with it; rounds with more than a tenth of that are measured again,
up to twice as often as asked for. Which generator was used stands in the last column.
"""

_CASES = ["engine", "images/s", "p50 ms", "p99 ms", "CPU s/1000", "failed", "ratio", "load", "rest", "generator"]
_FLOORS = ["case", "clients", "against", "floor", "ratio", "", "where the floor is from"]
_ENGINES = ["model", "engine", "start s", "folder to AVAILABLE s", "RSS MB loaded", "RSS MB after load"]
_SWITCHES = [
    "model",
    "served after s",
    "failed",
    "answers",
    "steady p50 ms",
    "steady p99 ms",
    "p99 ms while loading",
    "p50 ms in the second",
    "p99 ms in the second",
    "p99 ratio",
]


def write(results: Results, folder: Path) -> None:
    """Write `folder`/report.md."""
    (folder / "report.md").write_text(text(results, folder), encoding="utf-8")


def text(results: Results, folder: Path) -> str:
    """The whole report; refers to the pictures that are in `folder`."""
    head = _HEAD.format(
        command=f"    {results.command}", began=results.began, machine=_machine(results), reference=REFERENCE
    )
    parts = [head]
    for name, group in itertools.groupby(results.cases, key=lambda result: result.case.model.name):
        picture = f"\n![{name}]({name}.png)\n" if (folder / f"{name}.png").exists() else ""
        parts.append(f"\n## {name}\n{picture}\n{_table(['case', 'clients', *_CASES], _case_rows(group))}")
    parts.append(f"\n## Floors\n\n{_table(_FLOORS, map(_floor_row, floors.compare(results)))}")
    if results.engines:
        parts.append(f"\n## Start, roll-out and memory\n\n{_table(_ENGINES, map(_engine_row, results.engines))}")
    if results.switches:
        parts.append(f"\n## Version switch under load\n\n{_table(_SWITCHES, map(_switch_row, results.switches))}")
    return "".join(parts)


def _machine(results: Results) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpus']} CPUs ({machine['processor']}), {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, {versions}. Server and load generator share the machine."
    )


def _case_rows(results: Iterable[CaseResult]) -> Iterable[list[str]]:
    for result in results:
        for engine in result.samples:
            yield [result.case.payload, str(result.case.clients), *_cells(result, engine)]


def _cells(result: CaseResult, engine: str) -> list[str]:
    samples = result.samples[engine]
    ratio = result.ratio(engine)
    return [
        engine,
        _number(result.rate(engine).median),
        _number(_median([sample.p50_ms for sample in samples])),
        _number(_median([sample.p99_ms for sample in samples])),
        _number(_median([sample.cpu_s_per_1000 for sample in samples])),
        str(sum(sample.failed for sample in samples)),
        _spread(ratio),
        _percent(_median([sample.generator_share for sample in samples])),
        _percent(_median([sample.others_share for sample in samples])),
        "" if samples[0].p50_ms is None else result.generator,
    ]


def _floor_row(compared: Compared) -> list[str]:
    floor = compared.floor
    asked = [floor.case, str(floor.clients), floor.against, f"{floor.least:g}"]
    return [*asked, _spread(compared.ratio), compared.verdict, floor.source]


def _engine_row(facts: EngineFacts) -> list[str]:
    figures = [facts.start_s, facts.served_s, facts.rss_mb, facts.rss_after_load_mb]
    return [facts.model, facts.engine, *map(_number, figures)]


def _switch_row(result: SwitchResult) -> list[str]:
    figures = [
        result.steady_p50_ms,
        result.steady_p99_ms,
        result.loading_p99_ms,
        result.switch_p50_ms,
        result.switch_p99_ms,
        result.switch_p99_ms / result.steady_p99_ms,
    ]
    return [result.model, _number(result.served_s), str(result.failed), str(result.answers), *map(_number, figures)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return Spread.of(known).median if known else None


def _number(value: float | None) -> str:
    """Three digits, or as many as it has before the point."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(ratio: Spread | None) -> str:
    return str(ratio) if ratio else ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
