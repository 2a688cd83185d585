"""What the gate found out about a candidate: one finding for each check, and the verdict that follows from them."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rollout.gate.answers import Answered

Verdict = Literal["passed", "failed", "skipped", "noted", "unchecked"]

_HEAD_WIDTH = 22
_LINE_WIDTH = 116


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found: `failed` refuses the candidate, `noted` is for the reader, `skipped` could not be done.

    `unchecked` is for want of time or memory: it says nothing about the candidate, and may turn out another way later.
    `detail` is a sentence with the figures in it, `remedy` says what to do about a failure.
    """

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""
    figures: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Report:
    """The gate's answer on a candidate. `reason` is one line that says why it did not pass, empty when it did.

    `made` is a temporary folder with files that the candidate lacks, laid out as in a version; the publisher copies
    them into the staged version, and whoever called the gate removes the folder. `answered` is what the versions said
    to held-out images, for the page that shows it.
    """

    passed: bool
    reason: str
    findings: tuple[Finding, ...] = ()
    made: Path | None = None
    answered: tuple[Answered, ...] = dataclasses.field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, findings: Sequence[Finding], made: Path | None = None, answered: Sequence[Answered] = ()) -> Report:
        """The report on `findings`: passed when none of them failed or is left unchecked."""
        failed = [finding.detail for finding in findings if finding.verdict == "failed"]
        open_ones = [f"it could not be checked: {each.detail}" for each in findings if each.verdict == "unchecked"]
        reason = " ".join("; ".join(failed or open_ones).split())
        return cls(not failed and not open_ones, reason, tuple(findings), made, tuple(answered))

    @property
    def reason_and_cure(self) -> str:
        """The reason, and what helps against the first failure."""
        cure = next((each.remedy for each in self.findings if each.verdict == "failed" and each.remedy), "")
        return f"{self.reason}; what helps: {cure}" if cure else self.reason

    @property
    def unchecked(self) -> bool:
        """Whether the candidate is neither passed nor refused: a check could not be finished, and none failed."""
        verdicts = {finding.verdict for finding in self.findings}
        return "unchecked" in verdicts and "failed" not in verdicts

    def document(self) -> dict[str, Any]:
        """The report as JSON values; a figure that is no finite number is null."""
        return {
            "passed": self.passed,
            "unchecked": self.unchecked,
            "reason": self.reason,
            "findings": [_document(finding) for finding in self.findings],
        }

    def table(self) -> list[str]:
        """The findings as lines of text: verdict, name and detail, with the remedy below what did not pass."""
        lines = []
        for finding in self.findings:
            lines += _row(f"{finding.verdict:8} {finding.name} ".ljust(_HEAD_WIDTH), finding.detail)
            if finding.verdict in ("failed", "unchecked") and finding.remedy:
                lines += _row(" " * _HEAD_WIDTH, f"-> {finding.remedy}")
        return lines


def _document(finding: Finding) -> dict[str, Any]:
    figures = {name: value if math.isfinite(value) else None for name, value in finding.figures.items()}
    return dataclasses.asdict(finding) | {"figures": figures}


def _row(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, _LINE_WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
