"""The gate: what a candidate has to show before it is published."""

from __future__ import annotations

from pathlib import Path

from bundle.settings import Settings
from rollout import check
from rollout.gate.report import Finding, Report, Verdict

__all__ = ["Finding", "Report", "Verdict", "run"]


def run(
    candidate: Path,
    live: Path | None,
    settings: Settings,
    *,
    allow_signature_change: bool = False,
    allow_unmeasured: bool = False,  # noqa: ARG001 - the checks that it speaks of are not part of the gate yet
) -> Report:
    """The report on the SavedModel in the folder `candidate`, compared with the version in `live` if there is one."""
    against = None if allow_signature_change else live
    verdict = check.run(candidate, against, settings.check_timeout_seconds)
    if verdict.passed:
        return Report.of([Finding("loads", "passed", "loads, and has the live version's signatures")])
    return Report.of([Finding("loads", "failed", verdict.reason, "export the version again")])
