"""Which held-out set a model's candidates are measured with, and when a new one takes its place.

It lies beside the ledger as `<Model>.held-out.zip` and outlives the version that it came from: a rollback, quarantine
or KEEP_VERSIONS takes a version away, and one made elsewhere brings no set of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bundle import files, output
from bundle.errors import BundleError
from rollout.gate import heldout
from rollout.gate.heldout import HeldOut
from rollout.model import Model


def path_of(model: Model) -> Path:
    """Where the kept set of a model lies, if there is one."""
    return model.settings.releases_dir / f"{model.name}.held-out.zip"


def find(model: Model, live: Path | None, without: int | None = None) -> Path | None:
    """The kept set, else a version that has one in its manifest: the live one, else the newest.

    Version `without` is not looked at. Nothing is written.
    """
    kept = path_of(model)
    if kept.exists():
        return kept
    others = [folder for number, folder in model.folders().items() if number != without]
    return next((folder for folder in (live, *reversed(others)) if folder and _has_examples(folder)), None)


def keep(model: Model, number: int) -> None:
    """Keep the set that measures best once version `number`, which passed the gate, is live.

    That is its own, unless it asks less than the kept one: a version must not choose an easier measure for those that
    come after it. What cannot be written is said, as the version is live by now.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="held-out-") as scratch:
            _keep(model, number, Path(scratch))
    except (OSError, BundleError) as error:
        output.warn(f"the held-out set of version {number} could not be kept in {path_of(model)}: {error}")


def _keep(model: Model, number: int, scratch: Path) -> None:
    source = find(model, None, without=number)
    old = heldout.read(source, scratch) if source else None
    brought = heldout.of_version(model.base_path / str(number))
    new = heldout.affordable(brought) if brought is not None else None
    if new is not None and new.examples and (old is None or heldout.may_replace(new, old)):
        return _write(model, new)
    if new is not None and old is not None and not heldout.same(new, old):
        why = f"that of version {number} has fewer images, or gives one another class"
        output.line(f"the held-out set of {model.name} stays as it is: {why}")
    if old is not None and source != path_of(model):
        _write(model, old)
    return None


def _write(model: Model, held_out: HeldOut) -> None:
    path = path_of(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomically(path, heldout.pack(held_out))


def _has_examples(folder: Path) -> bool:
    document = heldout.read_manifest(folder)
    return document is not None and bool(document.examples)
