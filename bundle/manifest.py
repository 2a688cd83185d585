"""The manifest that travels with a version: what it is, how it was made, and what it must answer.

It lies at `assets.extra/bundle.json` in the version folder, the held-out images beside it. TensorFlow
Serving ignores both.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from bundle import documents, files
from bundle.errors import BundleError

FOLDER = "assets.extra"
NAME = "bundle.json"
FORMAT = 1

_Setting = str | bool | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | float | None
_Logit = Annotated[float, msgspec.Meta(ge=-1e38, le=1e38)]
"""A float32, in which servers compute."""

TOLERANCE = 1e-4
"""How far a version's logits may lie from those in its manifest: graph optimisers and CPUs round differently."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A held-out image with its true class index and the logits that the trained model gave for it.

    `image` is a path relative to the folder of the manifest.
    """

    image: str
    label: documents.Count
    logits: tuple[_Logit, ...]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What a version was trained on; `fingerprint` changes when any image or label does."""

    name: str
    fingerprint: str
    train: documents.Count
    validation: documents.Count
    test: documents.Count


@dataclasses.dataclass(frozen=True)
class File:
    """Size in bytes and SHA-256 of one file of the version."""

    size: documents.Count
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The whole manifest. `confusion_matrix` is [true class][predicted class], over the test set.

    `files` lists every other file of the version by its path, so that a copy can be told to be whole. `row_wise` names
    the signatures whose rows do not influence each other: requests for them may be answered in one batch.
    """

    tensorflow_version: str
    model_type: str
    classes: tuple[str, ...]
    image_size: documents.Count
    dataset: Dataset
    settings: dict[str, _Setting]
    test_accuracy: float
    confusion_matrix: tuple[tuple[documents.Count, ...], ...]
    created: str
    examples: tuple[Example, ...]
    files: dict[str, File] = dataclasses.field(default_factory=dict)
    row_wise: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Format:
    format: Any = None


def manifest_path(version_folder: Path) -> Path:
    """Where the manifest of a version lies."""
    return version_folder / FOLDER / NAME


def write(version_folder: Path, manifest: Manifest) -> None:
    """Write the manifest of the version in `version_folder`, with the files that are there now: call it last."""
    path = manifest_path(version_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = dataclasses.replace(manifest, files=inventory(version_folder))
    document = {"format": FORMAT, **dataclasses.asdict(manifest)}
    files.write_atomically(path, json.dumps(document, indent=1) + "\n")


def read(version_folder: Path) -> Manifest | None:
    """The manifest of a version, or None when it has none (a SavedModel made elsewhere)."""
    path = manifest_path(version_folder)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return _sound(file.read(documents.MOST_BYTES + 1))
    except ValueError as error:
        raise BundleError(
            f"{path} is not a manifest of format {FORMAT} ({error}); "
            "export the version again, or remove the file to publish it without one"
        ) from error


def inventory(version_folder: Path) -> dict[str, File]:
    """Every file of a version but its manifest, by its path in the folder."""
    skip = manifest_path(version_folder)
    paths = sorted(path for path in version_folder.rglob("*") if path.is_file() and path != skip)
    return {path.relative_to(version_folder).as_posix(): File(path.stat().st_size, sha256(path)) for path in paths}


def damage(version_folder: Path, manifest: Manifest, checksums: bool = True) -> list[str]:
    """What is missing or different from the manifest's list of files, a sentence each; empty when it is whole.

    Without `checksums` no file is read.
    """
    problems = []
    for name, file in manifest.files.items():
        path = version_folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != file.size:
            problems.append(f"{name} has {path.stat().st_size} bytes, expected {file.size}")
        elif checksums and sha256(path) != file.sha256:
            problems.append(f"{name} has another checksum than its manifest says")
    return problems


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sound(data: bytes) -> Manifest:
    found = documents.read(data, _Format).format
    if found != FORMAT:
        raise ValueError(f"found format {found!r:.60}")
    manifest = documents.read(data, Manifest)
    for name in (*manifest.files, *(f"{FOLDER}/{example.image}" for example in manifest.examples)):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{name} leads out of the version folder")
    count = len(manifest.classes)
    for example in manifest.examples:
        if not 0 <= example.label < count or len(example.logits) != count:
            raise ValueError(
                f"{example.image} has label {example.label}, {len(example.logits)} logits, {count} classes"
            )
    return manifest
