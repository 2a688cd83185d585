"""Bring the ledger up to what the folders say: publishers can be killed, and folders can be moved by hand."""

from __future__ import annotations

from bundle.versions import quarantined_versions
from rollout import ledger
from rollout.model import Model

_SERVED = frozenset({ledger.PUBLISHED, ledger.AVAILABLE, ledger.FOUND, ledger.RESTORED, ledger.PROMOTED})


def reconcile(model: Model) -> None:
    """Write what happened to versions while nobody wrote it down. Call with the release lock held."""
    states = last_events(model.ledger.entries())
    on_disk = model.folders()
    for number in on_disk:
        state = states.get(number)
        if state == ledger.PUBLISHING:
            model.ledger.append(ledger.PUBLISHED, number, reason="its publisher was killed after it appeared")
        elif state not in _SERVED:
            model.ledger.append(ledger.FOUND, number, reason="put into the base path without `rollout`")
    in_quarantine = quarantined_versions(model.quarantine)
    for number, state in states.items():
        if number in on_disk:
            continue
        if state == ledger.PUBLISHING:
            model.ledger.append(ledger.FAILED, number, reason="its publisher was killed before it appeared")
        elif state in _SERVED and number in in_quarantine:
            model.ledger.append(ledger.ROLLED_BACK, number, reason="found in quarantine")
        elif state in _SERVED:
            model.ledger.append(ledger.RETIRED, number, reason="found to be gone from the base path")


def last_events(entries: list[ledger.Entry]) -> dict[int, str]:
    """What happened last to each version."""
    return {entry.version: entry.event for entry in entries if entry.version is not None}
