"""What a report says as a verdict, as JSON and as a table."""

from __future__ import annotations

import json
import math

from rollout.gate import Finding, Report

FINDINGS = (
    Finding("files", "passed", "all there"),
    Finding("logits", "failed", "they differ\n by inf", "export it again", {"largest_difference": math.inf}),
    Finding("latency", "failed", "3.1 times as slow " + "and so on " * 20, figures={"ratio_1": 3.1}),
    Finding("agreement", "noted", "the same class in 39 of 40 answers"),
)


def test_one_failure_refuses_and_the_reason_is_one_line_with_all_of_them() -> None:
    report = Report.of(FINDINGS)
    assert not report.passed
    assert report.reason.startswith("they differ by inf; 3.1 times as slow and so on")
    assert Report.of([FINDINGS[0], FINDINGS[3]]).passed
    assert Report.of([FINDINGS[0], FINDINGS[3]]).reason == ""


def test_the_document_is_json_that_every_reader_takes() -> None:
    document = json.loads(json.dumps(Report.of(FINDINGS).document(), allow_nan=False))
    assert [each["name"] for each in document["findings"]] == ["files", "logits", "latency", "agreement"]
    assert document["findings"][1]["figures"] == {"largest_difference": None}
    assert document["findings"][2]["figures"] == {"ratio_1": 3.1}


def test_the_table_has_a_row_for_each_finding_and_the_remedy_below_what_failed() -> None:
    lines = Report.of(FINDINGS).table()
    assert lines[0] == "passed   files        all there"
    assert lines[1] == "failed   logits       they differ  by inf"
    assert lines[2].strip() == "-> export it again"
    assert all(len(line) <= 116 for line in lines)
    assert lines[-1] == "noted    agreement    the same class in 39 of 40 answers"


def test_what_could_not_be_finished_is_neither_passed_nor_refused() -> None:
    late = Finding("loads", "unchecked", "it took longer than 3 s", "try again")
    report = Report.of([FINDINGS[0], late])
    assert (report.passed, report.unchecked) == (False, True)
    assert report.reason == "it could not be checked: it took longer than 3 s"
    assert report.document()["unchecked"] is True
    assert report.table()[1:] == ["unchecked loads       it took longer than 3 s", " " * 22 + "-> try again"]


def test_a_failure_refuses_whatever_else_could_not_be_finished() -> None:
    report = Report.of([*FINDINGS, Finding("latency", "unchecked", "it took longer than 3 s")])
    assert (report.passed, report.unchecked) == (False, False)
    assert "it took longer than 3 s" not in report.reason
    assert not Report.of(FINDINGS).unchecked
    assert not Report.of(FINDINGS[:1]).unchecked
