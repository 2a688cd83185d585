"""Going back: the live version leaves to quarantine, and an earlier one answers without a request lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundle import files, output, publish
from bundle.errors import BundleError, UsageError
from rollout import candidate, labels, ledger, waiting
from rollout.candidate import Wholeness
from rollout.model import Model
from rollout.observe import snapshot


def roll_back(model: Model, to: int | None, reason: str) -> int:
    """Serve version `to`, by default the newest good one below the live; returns its number.

    What is above it goes to quarantine with `reason`, the live version last: the server lets go of it when the
    version it goes back to answers. Put back as it was when that version does not load. Raises NotSeen when it is
    done, and nobody saw the server follow.
    """
    labels.require_none(model)
    live = model.live()
    if live is None:
        raise UsageError(f"{model.base_path} holds no version; run: make train")
    target = _target(model, live, to)
    figures = snapshot(model)
    above = (number for number in model.folders() if number > target)
    order = sorted(above, key=lambda number: (number == live, number))
    moved = {number: publish.withdraw(model.base_path, number, model.quarantine, reason) for number in order}
    try:
        seen = _see_it_served(model, target, live)
    except waiting.LoadFailed as error:
        _put_back(model, moved)
        raise BundleError(f"version {target} does not load, so version {live} stays live: {error}") from error
    for number in moved:
        model.ledger.append(ledger.ROLLED_BACK, number, reason=reason, figures=figures if number == live else None)
    if seen.available:
        model.ledger.append(ledger.AVAILABLE, target, origin=f"rollback of {live}", figures=figures)
    if seen.missing:
        raise waiting.NotSeen(f"version {live} is in {moved[live]}, but {seen.missing}. See: make status")
    return target


@dataclasses.dataclass(frozen=True)
class _Seen:
    """Whether the version that is gone back to was seen AVAILABLE; what was not seen, empty when all was."""

    available: bool
    missing: str = ""


def _target(model: Model, live: int, to: int | None) -> int:
    folders = model.folders()
    below = [number for number in folders if number < live]
    whole = [n for n in below if candidate.examine(folders[n]).wholeness is not Wholeness.INCOMPLETE]
    if to is None and whole:
        return max(whole)
    if to in whole:
        return to
    asked = "version below the live one" if to is None else f"version {to} below the live version {live}"
    raise UsageError(
        f"{model.base_path} holds no whole {asked}; it holds {', '.join(map(str, folders))}. "
        "One from quarantine comes back with: make restore VERSION=n"
    )


def _see_it_served(model: Model, target: int, live: int) -> _Seen:
    if model.client is None:
        output.line(f"version {target} will be served after: make up")
        return _Seen(False)
    timeout_s = model.settings.ready_timeout_seconds
    try:
        waiting.until_available(model.client, model.name, target, timeout_s, model.check_alive)
    except waiting.LoadFailed:
        raise
    except BundleError as error:
        return _Seen(False, f"nobody saw version {target} answer, or version {live} unloaded: {error}")
    why = waiting.why_not_seen_gone(model.client, model.name, {live}, timeout_s, model.check_alive)
    if why:
        return _Seen(True, f"nobody saw the server unload it, though version {target} is AVAILABLE: {why}")
    output.step(f"{model.name} version {target} is AVAILABLE")
    return _Seen(True)


def _put_back(model: Model, moved: dict[int, Path]) -> None:
    for number, place in reversed(moved.items()):
        place.with_name(f"{place.name}.reason.txt").unlink(missing_ok=True)
        with files.lock(model.base_path / publish.LOCK_NAME):
            publish.move(place, model.base_path / str(number))
