from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from bench import machine, plots, report
from bench.cases import REST_BYTES, Case, model_named
from bench.results import CaseResult, EngineFacts, Results, SwitchResult
from bench.sample import Sample
from bench.statistics import Spread


def sample(rate: float, p99_ms: float | None = 9.0, failed: int = 0) -> Sample:
    return Sample(
        rate=rate,
        p50_ms=None if p99_ms is None else 4.0,
        p99_ms=p99_ms,
        cpu_s_per_1000=0.5,
        engine_share=0.8,
        generator_share=0.02,
        others_share=None,
        answers=1000,
        failed=failed,
    )


@pytest.fixture
def results() -> Results:
    case = Case(model_named("lenet-28-plain"), REST_BYTES, 16)
    samples = {
        "model-server": [sample(3000), sample(1000), sample(4000)],
        "fastapi": [sample(1000), sample(500, failed=2), sample(1000)],
        "bare": [sample(6000, None), sample(2000, None), sample(16000, None)],
    }
    return Results(
        machine=machine.describe(),
        command="python -m bench --quick",
        began="2026-11-22T23:00:00+00:00",
        cases=[CaseResult(case, "wrk", samples)],
        engines=[EngineFacts("fastapi", "lenet-28-plain", 2.5, None, 400.0, None)],
        switches=[SwitchResult("lenet-28-frozen", 16, 9000, 0, 0.81, 4.0, 8.0, 5.0, 12.0, 4.1, 10.0, 3000.0)],
    )


def test_ratios_are_taken_round_by_round(results: Results) -> None:
    (result,) = results.cases
    assert result.ratio("fastapi") == Spread(3.0, 2.0, 4.0)
    assert result.ratio("bare") == Spread(0.5, 0.25, 0.5)
    assert result.ratio("model-server") is None
    assert result.rate("model-server") == Spread(3000, 1000, 4000)


def test_the_report_says_what_was_measured_where_and_how(results: Results, tmp_path: Path) -> None:
    text = report.text(results, tmp_path)
    assert "    python -m bench --quick\n" in text
    assert f"{results.machine['cpus']} CPUs" in text
    assert "| rest-bytes | 16 | model-server | 3000 | 4 | 9 | 0.5 | 0 |  | 2% | - | wrk |\n" in text
    assert "| rest-bytes | 16 | fastapi | 1000 | 4 | 9 | 0.5 | 2 | 3.00 (2.00 to 4.00) | 2% | - | wrk |\n" in text
    assert "| rest-bytes | 16 | bare | 6000 | - | - | 0.5 | 0 | 0.50 (0.25 to 0.50) | 2% | - |  |\n" in text
    assert "| lenet-28-plain | fastapi | 2.5 | - | 400 | - |\n" in text
    assert "| lenet-28-frozen | 0.81 | 0 | 9000 | 4 | 8 | 12 | 4.1 | 10 | 1.25 |\n" in text


def test_results_and_a_picture_per_model_are_written(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path)
    plots.write(results, tmp_path)
    report.write(results, tmp_path)
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["cases"][0]["samples"]["fastapi"][1]["failed"] == 2
    with Image.open(tmp_path / "lenet-28-plain.png") as picture:
        assert picture.size[0] > 300
    assert "![lenet-28-plain](lenet-28-plain.png)" in (tmp_path / "report.md").read_text()
