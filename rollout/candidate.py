"""A folder that may become a version: where its SavedModel is, whether it is whole, whether it still changes.

Nothing here imports TensorFlow: the drop watcher looks at folders all day.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import re
from collections.abc import Iterator
from pathlib import Path

from bundle import manifest
from bundle.errors import BundleError
from rollout import archive
from rollout.variables import cut_off

_SHARD = re.compile(r"variables\.data-\d{5}-of-(\d{5})")

# What other formats are called, and how a SavedModel comes of them.
_CURES = {
    ".keras": ("Keras", "keras.saving.load_model(file).export('mymodel')"),
    ".h5": ("Keras in HDF5", "keras.saving.load_model(file).export('mymodel')"),
    ".hdf5": ("Keras in HDF5", "keras.saving.load_model(file).export('mymodel')"),
    ".tflite": (
        "TensorFlow Lite",
        "there is no way back from it; export the Keras model or tf.Module that it was made from, with "
        "model.export('mymodel') or tf.saved_model.save(module, 'mymodel')",
    ),
    ".onnx": ("ONNX", "onnx2tf -i model.onnx -o mymodel, which writes a SavedModel"),
    ".pt": ("PyTorch", "export it to ONNX with torch.onnx.export, then: onnx2tf -i model.onnx -o mymodel"),
    ".gz": ("an archive", "pack the folder as .zip or .tar.gz, or drop it as it is"),
    ".7z": ("an archive", "pack the folder as .zip or .tar.gz, or drop it as it is"),
    ".xz": ("an archive", "pack the folder as .zip or .tar.gz, or drop it as it is"),
    ".bz2": ("an archive", "pack the folder as .zip or .tar.gz, or drop it as it is"),
    ".rar": ("an archive", "pack the folder as .zip or .tar.gz, or drop it as it is"),
}

Fingerprint = frozenset[tuple[str, int, int]]


class Wholeness(enum.Enum):
    """How sure we are that all files of a candidate have arrived."""

    PROVEN = "every file that its manifest lists is there, with the right checksum"
    PLAUSIBLE = "nothing is known to be missing"
    INCOMPLETE = "something is missing"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A verdict and, when something is missing, what."""

    wholeness: Wholeness
    problem: str = ""


def fingerprint(entry: Path) -> Fingerprint:
    """Names, sizes and modification times of all files in `entry`: equal as long as nobody writes to it."""
    return frozenset((str(path), facts.st_size, facts.st_mtime_ns) for path, facts in _facts(entry))


def arrived(entry: Path) -> int:
    """When the last of it came, on the clock of the file system, in ns; 0 when it is gone."""
    return max((facts.st_ctime_ns for _, facts in _facts(entry)), default=0)


def _facts(entry: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is known of `entry` and of all below it; links are looked at, not followed."""
    for path in (entry, *entry.rglob("*")):
        with contextlib.suppress(OSError):  # It went away between the listing and the look.
            yield path, path.lstat()


def locate(entry: Path) -> Path | None:
    """The SavedModel folder in `entry`: itself, or the only folder below it that holds a saved_model.pb."""
    if (entry / "saved_model.pb").is_file():
        return entry
    nested = [path.parent for path in entry.glob("**/saved_model.pb")] if entry.is_dir() else []
    return nested[0] if len(nested) == 1 else None


def examine(entry: Path, checksums: bool = True) -> Finding:
    """Whether `entry` holds a whole SavedModel, as far as its files tell; `checksums` takes reading all of them."""
    if archive.is_archive(entry):
        return Finding(Wholeness.PLAUSIBLE)  # What is in it is looked at when it is unpacked.
    if not entry.is_dir():
        return _incomplete(_why_no_folder(entry))
    folder = locate(entry)
    if folder is None:
        return _incomplete(_why_no_saved_model(entry))
    if (folder / "saved_model.pb").stat().st_size == 0:
        return _incomplete("saved_model.pb is empty")
    missing = _missing_variables(folder)
    if missing:
        return _incomplete(missing)
    return _against_manifest(folder, checksums)


def _why_no_folder(entry: Path) -> str:
    cure = _CURES.get(entry.suffix.lower())
    return f"it is a file{f' of {cure[0]}' if cure else ''}; expected the folder of one SavedModel version" + (
        f". Make one of it: {cure[1]}" if cure else ""
    )


def _against_manifest(folder: Path, checksums: bool) -> Finding:
    try:
        document = manifest.read(folder)
    except BundleError as error:
        return _incomplete(str(error))
    if document is None or not document.files:
        return Finding(Wholeness.PLAUSIBLE)
    damage = manifest.damage(folder, document, checksums)
    return _incomplete("; ".join(damage)) if damage else Finding(Wholeness.PROVEN)


def _why_no_saved_model(entry: Path) -> str:
    count = len(list(entry.glob("**/saved_model.pb")))
    if count > 1:
        return f"it holds {count} SavedModels; drop one version at a time"
    if not any(entry.iterdir()):
        return "the folder is empty; expected a saved_model.pb"
    return "it holds no saved_model.pb; expected the folder of one SavedModel version"


def _missing_variables(folder: Path) -> str:
    """Which variable files are missing or too short; whether there should be any at all only loading tells."""
    variables = folder / "variables"
    names = {path.name for path in variables.iterdir()} if variables.is_dir() else set()
    shards = [match for match in map(_SHARD.fullmatch, names) if match]
    if not names:
        return ""
    if "variables.index" not in names:
        return "variables/variables.index is missing"
    wanted = int(shards[0].group(1)) if shards else 1
    if len(shards) < wanted:
        return f"variables/ holds {len(shards)} of {wanted} data files"
    return cut_off(variables)


def _incomplete(problem: str) -> Finding:
    return Finding(Wholeness.INCOMPLETE, problem)
