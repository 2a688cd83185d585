"""Going on with a run that has ended before it was done: which one, and with what settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bundle import environment
from bundle.errors import UsageError
from bundle.settings import Settings

SETTINGS_FILE: Final = "settings.json"
CHECKPOINT: Final = "checkpoint.npz"
_TAKEN: Final = (
    *("model_name", "model_type", "dataset", "validation_split", "image_size", "epochs", "batch_size"),
    *("learning_rate", "patience", "seed", "weights", "mixed_precision"),
)


def run_named(settings: Settings, name: str) -> Path:
    """The run folder of that name, or path; raises UsageError when there is nothing in it to go on with."""
    run = settings.runs_dir / Path(name).name
    if not run.is_dir():
        there = sorted(path.parent.name for path in settings.runs_dir.glob(f"*/{CHECKPOINT}"))
        raise UsageError(f"there is no run {run}; runs that can be gone on with: {', '.join(there) or 'none'}")
    if not (run / CHECKPOINT).is_file():
        raise UsageError(f"{run} cannot be gone on with: it ended before its first epoch, or is finished; train anew")
    return run


def settings_of(run: Path, settings: Settings, given: Mapping[str, str]) -> dict[str, str]:
    """The settings that the run was begun with; raises UsageError when others were given for this call."""
    try:
        recorded = json.loads((run / SETTINGS_FILE).read_text(encoding="utf-8"))
        found = {name.upper(): _in_text(recorded[name]) for name in _TAKEN}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{run / SETTINGS_FILE} does not say how the run was begun ({error}); train anew") from error
    asked = {"MODEL_NAME": settings.model_name, **environment.given_to_make(), **given}
    for name, text in asked.items():
        if name in found and not _same(text, found[name]):
            raise UsageError(f"{name}={text}: the run was begun with {name}={found[name]}; leave it out, or train anew")
    return found


def _in_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other
