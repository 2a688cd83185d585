"""A whole run: for each model every engine, every case, and what the engines need to start and to switch."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import machine, measure, plots, report, savedmodels, switch
from bench.cases import Case, Model
from bench.engines.base import Engine
from bench.engines.start import ENGINES, base_path
from bench.engines.target import Target
from bench.measure import Pace
from bench.results import REFERENCE, EngineFacts, Results
from bundle import output
from bundle.errors import BundleError


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured: cases, the names of engines, servers elsewhere, and how many version switches under load."""

    cases: Sequence[Case]
    engines: Sequence[str]
    targets: Sequence[Target]
    pace: Pace
    switches: int
    output: Path
    command: str


def run(plan: Plan) -> Results:
    """Measure everything in `plan`; what is there when it ends or is interrupted is in <output>/<time>/."""
    began = datetime.datetime.now(datetime.timezone.utc)
    folder = plan.output / began.strftime("%Y-%m-%dT%H-%M-%S")
    results = Results(machine.describe(), plan.command, began.isoformat(timespec="seconds"))
    models = list(dict.fromkeys(case.model for case in plan.cases))
    savedmodels.prepare(models)
    # Beside the models: copies of versions are made in there.
    with tempfile.TemporaryDirectory(prefix="work-", dir=savedmodels.CACHE) as work:
        try:
            for model, cases in itertools.groupby(plan.cases, key=lambda case: case.model):
                _measure_model(plan, model, list(cases), Path(work), results)
            for model in filter(switch.is_measured, models if plan.switches else []):
                switch.measure(model, plan.switches, Path(work), results)
        finally:
            if results.cases or results.switches:
                _write(results, folder)
    return results


def _measure_model(plan: Plan, model: Model, cases: Sequence[Case], work: Path, results: Results) -> None:
    starts = [*(ENGINES[name] for name in plan.engines), *(target.start for target in plan.targets)]
    output.step(f"starting engines on {model.name}")
    with measure.running(starts, model, work) as engines:
        if not engines:
            raise BundleError(f"there is no engine to measure {model.name} on; give --engines or --targets")
        measure.check_same_answers(engines, model)
        loaded = {engine.name: _rss_mb(engine) for engine in engines}
        for case in cases:
            result = measure.interleaved(engines, case, plan.pace)
            if result is not None:
                results.cases.append(result)
                measure.report_progress(result)
        for engine in engines:
            after_mb = _rss_mb(engine)
            served_s = _served_s(engine, work)
            results.engines.append(
                EngineFacts(engine.name, model.name, engine.start_s, served_s, loaded[engine.name], after_mb)
            )


def _served_s(engine: Engine, work: Path) -> float | None:
    """Seconds from a folder's appearance to AVAILABLE, with no load; only our engine's base path is ours to fill."""
    if engine.name != REFERENCE:
        return None
    with measure.awake(engine):
        return switch.publish(engine, base_path(engine.model, work), work).served_s


def _rss_mb(engine: Engine) -> float | None:
    return engine.tree.rss_mb() if engine.tree is not None else None


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True)
    results.write(folder)
    plots.write(results, folder)
    report.write(results, folder)
    output.step(f"written: {folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder}/report.md")
