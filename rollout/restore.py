"""Bring a version back from quarantine, through the gate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundle import files, output
from bundle.errors import UsageError
from bundle.publish import Version
from bundle.versions import parse_version
from rollout import ledger, release
from rollout.model import Model


def restore(model: Model, number: int, order: release.Order) -> Version:
    """Release a version from quarantine through the gate.

    It gets its own number back when that is above all others and the server never failed to load it, else a new one:
    a number never means two things.
    """
    source = in_quarantine(model, number)
    newest = max(model.folders(), default=0)
    failed = any(entry.version == number and entry.event == ledger.FAILED for entry in model.ledger.entries())
    own = number if number > newest and not failed else None
    if own is None:
        output.line(f"version {number} returns under a new number")
    order = dataclasses.replace(order, source=source, number=own, returns=True)
    released = release.release(model, order)
    model.ledger.append(ledger.RESTORED, released.number, origin=f"quarantine/{source.name}")
    files.remove(source)
    source.with_name(f"{source.name}.reason.txt").unlink(missing_ok=True)
    return released


def in_quarantine(model: Model, number: int) -> Path:
    """The folder of a withdrawn version, the last one when there are several."""
    folders = [path for path in model.quarantine.glob("*") if (path / "saved_model.pb").is_file()]
    found = [path for path in folders if parse_version(path.name.split("-", 1)[0]) == number]
    if not found:
        there = ", ".join(sorted(path.name for path in folders)) or "no version"
        raise UsageError(f"{model.quarantine} holds no version {number}; it holds {there}")
    return max(found, key=lambda path: path.stat().st_ctime_ns)
