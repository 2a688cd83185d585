"""The gate: what a candidate has to show before it is published (docs/gate.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle.settings import Settings
from rollout import ledger
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding, Report, Verdict

__all__ = ["Finding", "Report", "Verdict", "run"]


def run(
    candidate: Path,
    live: Path | None,
    settings: Settings,
    *,
    allow_signature_change: bool = False,
    allow_unmeasured: bool = False,
    allow_ops: Sequence[str] = (),
    held_out: Path | None = None,
) -> Report:
    """The report on the SavedModel in the folder `candidate`, compared with the version in `live` if there is one.

    Its answers are measured with the set in `held_out`: a file that heldout.pack made, or a version with examples.
    Without it the live version's are taken.

    Nothing of the candidate is run in this process, and nothing that it does reaches beyond the one that runs it. With
    GATE_DIR set it is examined by the `rollout gate-serve` that watches that folder. Raises UsageError when `allow_ops`
    names an operation that TensorFlow does not have.
    """
    from rollout.gate import examination, operations, remote, turn

    operations.require_known(allow_ops)
    allowance = Allowance(tuple(allow_ops), ledger.who()) if allow_ops else NOTHING
    if settings.gate_dir != "none":
        return remote.run(candidate, live, settings, allow_signature_change, allow_unmeasured, allowance, held_out)
    allowed = allow_signature_change, allow_unmeasured, allowance
    with turn.alone(settings.root / ".run"):
        return examination.examine(candidate, live, settings, *allowed, held_out)
