"""The commands that change which version answers, as the command line calls them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bundle import output
from bundle import publish as publishing
from bundle.errors import RefusedVersion, UncheckedVersion, UsageError
from bundle.publish import Version
from bundle.settings import Settings
from bundle.versions import parse_version
from rollout import canary as canaries
from rollout import model as models
from rollout import release, trainings
from rollout import restore as restoring
from rollout import rollback as rolling_back
from rollout.candidate import locate


def publish(settings: Settings, arguments: argparse.Namespace) -> int:
    """Release the folder that was named; with --dry-run only say whether it would be."""
    model = models.find(settings)
    order = release.Order(_saved_model(arguments.source), str(arguments.source), arguments.version, **_flags(arguments))
    if arguments.dry_run:
        report = release.check(model, order)
        if report.unchecked:
            raise UncheckedVersion(f"{arguments.source}: {report.reason}; try again")
        if not report.passed:
            raise RefusedVersion(f"{arguments.source} would be refused: {report.reason}")
        output.line("it would be published; nothing was (dry run)")
        return 0
    name = publishing.training_name(order.source, model.base_path)
    _say(model, release.release(model, order) if name is None else trainings.release_now(model, name, order))
    return 0


def release_training(settings: Settings, name: str) -> int:
    """Release a training that the trainer has staged: by the drop watcher where there is one, else here."""
    model = trainings.find(settings)
    with trainings.kept(model, name):
        trainings.deliver(model, name)
    return 0


def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Release a version of quarantine again."""
    model = models.find(settings)
    order = release.Order(model.quarantine, f"quarantine/{arguments.version}", **_flags(arguments))
    _say(model, restoring.restore(model, arguments.version, order))
    return 0


def canary(settings: Settings, arguments: argparse.Namespace) -> int:
    """Start a canary of a folder, or of a version in quarantine."""
    model = models.find(settings)
    number = parse_version(arguments.source)
    source = _saved_model(Path(arguments.source)) if number is None else restoring.in_quarantine(model, number)
    order = release.Order(source, str(source), **_flags(arguments))
    started = canaries.start(model, order)
    output.line(f"""
  /v1/models/{model.name}/labels/canary:predict answers from the candidate, everything else from version {started.live}.
  It becomes version {started.number} with: make promote; or goes to quarantine with: make abort""")
    return 0


def promote(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make the canary the live version."""
    model = models.find(settings)
    canaries.promote(model, release.Order(model.base_path, "canary", watched=not arguments.no_watch))
    return 0


def abort(settings: Settings) -> int:
    """End the canary."""
    ended = canaries.abort(models.find(settings), "aborted by hand")
    output.step(f"the candidate of version {ended.number} is in quarantine; version {ended.live} goes on")
    return 0


def rollback(settings: Settings, arguments: argparse.Namespace) -> int:
    """Go back to an earlier version."""
    rolling_back.roll_back(models.find(settings), arguments.to, arguments.reason)
    return 0


def _say(model: models.Model, version: Version) -> None:
    if model.client is None:
        output.line(f"version {version.number} will be served after: make up")


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "allow_signature_change": arguments.allow_signature_change,
        "allow_unmeasured": arguments.allow_unmeasured,
        "allow_ops": tuple(arguments.allow_ops),
        "watched": not getattr(arguments, "no_watch", False),
    }


def _saved_model(source: Path) -> Path:
    found = locate(source)
    if found is None:
        raise UsageError(f"{source} holds no saved_model.pb, or several; give the folder of one SavedModel version")
    return found
