"""Bring the ledger up to what is on disk and in the server: publishers are killed, and folders moved by hand."""

from __future__ import annotations

from bundle.errors import BundleError
from bundle.versions import quarantined_versions
from rollout import ledger
from rollout.client import STATUS_TIMEOUT_S
from rollout.model import Model

_SERVED = frozenset({ledger.PUBLISHED, ledger.AVAILABLE, ledger.FOUND, ledger.RESTORED, ledger.PROMOTED})

_ANSWERED = frozenset({"AVAILABLE", "UNLOADING", "END"})


def reconcile(model: Model) -> None:
    """Write what happened to versions while nobody wrote it down. Call with the release lock held."""
    states = last_events(model.ledger.entries())
    on_disk = model.folders()
    for number in sorted(_served(model) - states.keys() - on_disk.keys()):
        model.ledger.append(ledger.FOUND, number, reason="served, and put there without `rollout`")
        states[number] = ledger.FOUND
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


def _served(model: Model) -> set[int]:
    """The versions that the server says it serves, or served; candidates of a canary are not among them."""
    try:
        listed = model.client.within(STATUS_TIMEOUT_S).versions(model.name) if model.client else []
    except BundleError:
        return set()
    return {entry.version for entry in listed if entry.version >= 0 and entry.state in _ANSWERED}


def last_events(entries: list[ledger.Entry]) -> dict[int, str]:
    """What happened last to each version."""
    return {entry.version: entry.event for entry in entries if entry.version is not None}
