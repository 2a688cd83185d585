"""Which versions carry the labels `stable` and `canary`, as models.config says it for the server.

TensorFlow Serving answers who names no version with the highest that is loaded. So the candidate of version n lies in
the base path as -n, which is below every version: `/labels/canary` reaches it, the default does not.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundle import files, pins, publish
from bundle.errors import UsageError
from bundle.pins import Pins
from bundle.versions import version_folders
from rollout import ledger
from rollout.model import Model

STABLE, CANARY = "stable", "canary"


@dataclasses.dataclass(frozen=True)
class Canary:
    """A canary under way: the live version, and the number that the candidate gets when it is promoted."""

    live: int
    number: int

    @property
    def candidate(self) -> int:
        """The version that the server knows the candidate as."""
        return -self.number

    @property
    def labels(self) -> dict[str, int]:
        """Which version each label names while both are loaded."""
        return {STABLE: self.live, CANARY: self.candidate}

    def folder(self, model: Model) -> Path:
        """Where the candidate lies."""
        return model.base_path / str(self.candidate)


def under_way(model: Model) -> Canary | None:
    """The canary of `model`, or None; one whose promotion was cut short counts as well."""
    found = pins.read(model.config, model.name)
    if found is None or not found.versions or not pins.is_ours(model.config, model.name):
        return None
    candidates = [-number for number in found.versions if number < 0]
    lives = [number for number in found.versions if number > 0]
    return Canary(min(lives), max(candidates or lives)) if lives else None


def is_pinned(model: Model) -> bool:
    """Whether models.config says which versions are loaded, for a canary or by its owner's hand."""
    return pins.read(model.config, model.name) is not None


def require_none(model: Model) -> None:
    """Raise UsageError when models.config says which versions are loaded: a new one would not be."""
    found = pins.read(model.config, model.name)
    if found is None:
        return
    if pins.is_ours(model.config, model.name):
        raise UsageError(f"a canary of {model.name} is under way; end it first: make promote, or make abort")
    raise UsageError(
        f"{model.config} pins {model.name} to the versions {', '.join(map(str, found.versions))}, so no other would "
        "be served; take its `specific` policy out"
    )


def pin(model: Model, wanted: Pins | None) -> None:
    """Have the server load exactly `wanted`, or again what its base path holds; models.config changes in one step."""
    run_dir = model.settings.root / ".run"
    run_dir.mkdir(exist_ok=True)
    with files.lock(run_dir / "models.config.lock"):
        pins.write(model.config, model.name, wanted)


def sweep(model: Model) -> None:
    """Clear candidates that a killed command left without a canary. Call with the release lock held."""
    canary = under_way(model)
    for number in version_folders(model.base_path):
        if number >= 0 or (canary is not None and number == canary.candidate):
            continue
        if -number in model.folders():  # It was promoted.
            publish.retire(model.base_path, number)
        else:
            publish.withdraw(model.base_path, number, model.quarantine, "its canary was cut short")
            model.ledger.append(ledger.ABORTED, -number, reason="its canary was cut short")
