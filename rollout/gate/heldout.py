"""The held-out set of a model: images whose classes are known, with the answers that a measured version gave.

A set belongs to the model and not to a version of it, so that it outlives them all. It is one file, a zip with
`set.json` and the images, so that it is replaced in one step and read as a whole.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bundle import documents, manifest
from bundle.errors import BundleError

FORMAT = 1

_INDEX = "set.json"
_MOST_BYTES = 64 << 20
"""Of images: what a version carries along must not fill the disk, nor the memory of who reads it."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A held-out image, the index of its class, and the logits of the version that the set came from."""

    image: Path
    label: int
    sha256: str
    logits: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Examples whose `label` is an index into `classes`; the images lie wherever the set was read to."""

    classes: tuple[str, ...]
    examples: tuple[Example, ...]

    def named(self) -> collections.Counter[str]:
        """How many different images there are of each class."""
        different = {(self.classes[each.label], each.sha256) for each in self.examples}
        return collections.Counter(name for name, _ in different)

    def pictures(self) -> list[tuple[str, str]]:
        """What is in it, in an order of its own: equal for sets that ask the same."""
        return sorted((each.sha256, self.classes[each.label]) for each in self.examples)


@dataclasses.dataclass(frozen=True)
class _Entry:
    image: str
    label: int
    sha256: str
    logits: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class _Index:
    format: int
    classes: tuple[str, ...]
    examples: tuple[_Entry, ...]


def read(path: Path, folder: Path) -> HeldOut | None:
    """The set in a file, its images written into `folder`, or in the manifest of a version; None when that has none."""
    return of_version(path) if path.is_dir() else unpack(path, folder)


def of_version(folder: Path) -> HeldOut | None:
    """The set in the manifest of a version; None when it has none."""
    document = read_manifest(folder)
    if document is None or not document.examples:
        return None
    extra = (folder / manifest.FOLDER).absolute()
    return HeldOut(document.classes, tuple(_example(extra / each.image, each) for each in document.examples))


def read_manifest(folder: Path) -> manifest.Manifest | None:
    """The manifest of a version; None when it has none that can be read."""
    try:
        return manifest.read(folder)
    except BundleError:
        return None


def affordable(held_out: HeldOut) -> HeldOut:
    """The set without what takes it above 64 MB: those images that fit, in their order."""
    chosen, total = [], 0
    for each in held_out.examples:
        size = each.image.stat().st_size
        if total + size <= _MOST_BYTES:
            chosen.append(each)
            total += size
    return HeldOut(held_out.classes, tuple(chosen))


def pack(held_out: HeldOut) -> bytes:
    """The set as the content of a file."""
    entries, file = [], io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for number, each in enumerate(held_out.examples):
            content = each.image.read_bytes()
            name = f"images/{number:04d}{each.image.suffix}"
            packed.writestr(name, content)
            entries.append(_Entry(name, each.label, hashlib.sha256(content).hexdigest(), each.logits))
        index = _Index(FORMAT, held_out.classes, tuple(entries))
        packed.writestr(_INDEX, json.dumps(dataclasses.asdict(index)))
    return file.getvalue()


def unpack(path: Path, folder: Path) -> HeldOut:
    """The set in the file `path`, its images written into `folder`; raises BundleError when it is none."""
    try:
        with zipfile.ZipFile(path) as packed:
            with packed.open(_INDEX) as file:
                index = documents.read(file.read(documents.MOST_BYTES + 1), _Index)
            if index.format != FORMAT or not all(0 <= each.label < len(index.classes) for each in index.examples):
                raise ValueError(f"format {index.format}, {len(index.classes)} classes")
            examples = tuple(_unpacked(packed, each, folder / f"{n:04d}") for n, each in enumerate(index.examples))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{path} is not a held-out set ({error}); move it away to begin a new one with the next version that has "
            "a manifest"
        ) from error
    return HeldOut(index.classes, examples)


def may_replace(new: HeldOut, kept: HeldOut) -> bool:
    """Whether `new` measures at least as well: as many different images of each class.

    A version brings its own set, and it must not choose an easier one by leaving images out, nor give an image another
    class. One with other classes went live because somebody allowed it, and the kept set cannot measure those after it.
    """
    have = new.named()
    if new.classes != kept.classes:
        return True
    known = dict(kept.pictures())
    agree = all(known.get(image, name) == name for image, name in new.pictures())
    return agree and all(have[name] >= count for name, count in kept.named().items())


def same(one: HeldOut, other: HeldOut) -> bool:
    """Whether both ask the same of a version: the same images with the same classes in the same order."""
    return one.classes == other.classes and one.pictures() == other.pictures()


def in_order_of(classes: Sequence[str], held_out: HeldOut) -> tuple[Example, ...]:
    """The examples with their labels as indices into `classes`; those of other classes are left out."""
    known = {name: index for index, name in enumerate(classes)}
    return tuple(
        dataclasses.replace(each, label=known[held_out.classes[each.label]])
        for each in held_out.examples
        if held_out.classes[each.label] in known
    )


def _example(path: Path, each: manifest.Example) -> Example:
    # What the manifest says of its files is not asked: it need not list these.
    return Example(path, each.label, manifest.sha256(path) if path.is_file() else each.image, each.logits)


def _unpacked(packed: zipfile.ZipFile, entry: _Entry, target: Path) -> Example:
    path = target.with_suffix(Path(entry.image).suffix)
    path.write_bytes(packed.read(entry.image))
    return Example(path, entry.label, entry.sha256, entry.logits)
