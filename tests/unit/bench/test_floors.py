"""Floors: what a run measured decides, in words and in the exit status."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest

from bench import cases, cli, floors, machine, report, run
from bench.cases import Case
from bench.floors import FLOORS, Floor
from bench.results import CaseResult, Results, SwitchResult
from bench.sample import Sample
from tests.unit.bundle.parts import PROJECT

FLOOR = Floor("lenet-28/plain/rest-bytes", 16, "fastapi", 3.0, "a quiet machine")


def sample(rate: float, failed: int = 0) -> Sample:
    return Sample(rate, 4.0, 9.0, 0.5, 0.8, 0.02, None, 1000, failed)


def results(*rounds: tuple[float, float], clients: int = 16, failed: int = 0, lost_in_switch: int = 0) -> Results:
    """A run of one case; `rounds` are the rates of the engine and of FastAPI."""
    case = Case(cases.model_named("lenet-28-plain"), cases.REST_BYTES, clients)
    samples = {
        "model-server": [sample(ours, failed) for ours, _ in rounds],
        "fastapi": [sample(theirs, failed=7) for _, theirs in rounds],
    }
    switch = SwitchResult("lenet-28-plain", 16, 9000, lost_in_switch, 0.8, 4.0, 8.0, 5.0, 12.0, 4.1, 10.0, 3000.0)
    return Results(machine.describe(), "python -m bench", "now", [CaseResult(case, "wrk", samples)], [], [switch])


def test_the_median_of_the_rounds_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert floors.hold(results((2900, 1000), (3000, 1000), (5000, 1000)), [FLOOR])
    kept = "kept         lenet-28/plain/rest-bytes c=16: model-server at least 3 times the rate of fastapi, measured"
    assert capsys.readouterr() == (f"{kept} 3.00 (2.90 to 5.00)\n", "")


def test_a_floor_that_is_missed_is_told_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert not floors.hold(results((2900, 1000), (2990, 1000), (5000, 1000)), [FLOOR])
    printed = capsys.readouterr()
    assert printed.out.startswith("MISSED       lenet-28/plain/rest-bytes c=16: ")
    assert printed.err == (
        "error: below its floor: lenet-28/plain/rest-bytes c=16: model-server at least 3 times the rate of fastapi,"
        " measured 2.99 (2.90 to 5.00). Floor: a quiet machine\n"
    )


@pytest.mark.parametrize("other", [{"clients": 1}, {"case": "lenet-28/plain/rest-json"}, {"against": "tfs"}])
def test_a_row_that_was_not_measured_is_told_and_no_failure(
    other: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert floors.hold(results((1, 1000)), [dataclasses.replace(FLOOR, **other)])  # type: ignore[arg-type]
    assert capsys.readouterr().out.startswith("not measured ")


@pytest.mark.parametrize("lost", [{"failed": 2}, {"lost_in_switch": 2}])
def test_a_request_that_the_engine_lost_is_a_failure(lost: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert not floors.hold(results((4000, 1000), **lost), [FLOOR])
    assert capsys.readouterr().err == "error: model-server left 2 requests without an answer; expected none\n"


@pytest.fixture
def unchanged_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` sets a variable and a signal handler, which the other tests must not see."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.mark.usefixtures("unchanged_process")
@pytest.mark.parametrize(("rate", "status"), [(2999.0, 1), (3000.0, 0)])
def test_the_exit_status_says_whether_the_floors_were_kept(
    rate: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "run", lambda _: results((rate, 1000.0)))
    assert cli.main(["--quick"]) == status


def test_the_report_has_a_row_for_each_floor(tmp_path: Path) -> None:
    text = report.text(results((2900, 1000)), tmp_path)
    assert (
        f"| lenet-28/plain/rest-bytes | 16 | fastapi | 3 | 2.90 (2.90 to 2.90) | MISSED | {FLOORS[0].source} |" in text
    )
    assert f"| resnet-32/plain/rest-bytes | 16 | fastapi | 1.8 |  | not measured | {FLOORS[1].source} |" in text


@pytest.mark.usefixtures("unchanged_process")
def test_a_quick_run_measures_every_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[run.Plan] = []
    monkeypatch.setattr(run, "run", lambda plan: plans.append(plan) or results((4000, 1000)))  # type: ignore[func-returns-value]
    assert cli.main(["--quick"]) == 0
    (plan,) = plans
    assert {(floor.case, floor.clients) for floor in FLOORS} <= {(case.name, case.clients) for case in plan.cases}
    assert {floor.against for floor in FLOORS} <= set(plan.engines)


def test_the_documented_table_is_that_of_the_bench() -> None:
    written = (PROJECT / "docs" / "benchmark.md").read_text()
    rows = [f"| {each.case} | {each.clients} | {each.against} | {each.least:g} | {each.source} |" for each in FLOORS]
    assert "\n".join(rows) in written
