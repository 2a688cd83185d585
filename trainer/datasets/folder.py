"""Images in folders: train/<class>/* and test/<class>/* below DATA_DIR, any number of classes of any names."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bundle import output
from bundle.errors import UsageError
from bundle.pictures import MAX_PIXELS
from bundle.settings import Settings
from bundle.text import printable
from trainer.datasets import picture
from trainer.datasets.base import Dataset, Samples

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

# TensorFlow puts the place of the failing op before its message.
_NODE = re.compile(r"^\{\{.*?\}\}\s*")
# What systems leave beside files, in any case; and all names that begin with a dot.
_LEFT = frozenset({"thumbs.db", "desktop.ini", "__macosx", "icon\r"})
_MEANT = {
    "train": ("train", "training", "trainings", "training_set"),
    "test": ("test", "testing", "tests", "test_set", "val", "valid", "validation", "eval", "evaluation"),
}
_NAMED = 5
_LAYOUT = "expected train/<class>/ and test/<class>/ with images in DATA_DIR"


def load(settings: Settings) -> Dataset:
    """The images below DATA_DIR, classes in name order; raises UsageError for a layout that cannot be right.

    Files that cannot be used are all named in warnings and left out. So are in warnings: test images that are training
    images, and pictures that the server would not take.
    """
    root = settings.data_dir
    train, test = _class_folders(root, "train"), _class_folders(root, "test")
    _check_classes(train, test)
    looked = [*map(_look, train.values()), *map(_look, test.values())]
    _tell(root, [file for files in looked for file in files])
    parts = [_samples(looked[: len(train)], train), _samples(looked[len(train) :], test)]
    _warn_of_twins(parts[0], parts[1])
    return Dataset("folder", tuple(train), *parts)


def load_test(root: Path) -> tuple[tuple[str, ...], Samples]:
    """The classes and images below `root`/test, or below `root` itself where there is no such folder."""
    test = _classes_in(root / "test") if (root / "test").is_dir() else _classes_in(root)
    if not test:
        raise UsageError(f"{root} holds no class folder; expected <class>/ or test/<class>/ with images in it")
    looked = list(map(_look, test.values()))
    _tell(root, [file for files in looked for file in files])
    return tuple(test), _samples(looked, test)


@dataclasses.dataclass(frozen=True)
class _File:
    """A file in a class folder: why it is left out, if it is, how it is to be turned, and how many pixels it has."""

    path: Path
    problem: str = ""
    orientation: int = picture.UPRIGHT
    pixels: int = 0


def _class_folders(root: Path, part: str) -> dict[str, Path]:
    for folder in (root, root / part):
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; {_LAYOUT}{_hint(root, part)}")
    return _classes_in(root / part)


def _classes_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; {_LAYOUT}")
    children = _visible(folder)
    for child in children:
        if not child.is_dir():
            raise UsageError(f"{child} is a file; {_LAYOUT}: move it into the folder of its class, or away")
        if not _is_text(child.name):
            raise UsageError(f"{child} is no name for a class: its bytes are no UTF-8; rename it")
    return {child.name: child for child in children}


def _hint(root: Path, part: str) -> str:
    """What else there is that may be meant by train or test."""
    found = [child.name for child in _visible(root) if child.name.lower() in _MEANT[part]] if root.is_dir() else []
    return f". There is {' and '.join(found)}: rename it to {part}" if found else ""


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _check_classes(train: dict[str, Path], test: dict[str, Path]) -> None:
    if len(train) < 2:
        found = f"only the class {next(iter(train))}" if train else "no class"
        raise UsageError(f"found {found} in train/, expected two or more; {_LAYOUT}")
    if train.keys() != test.keys():
        odd = sorted(train.keys() ^ test.keys())
        where = [f"{name} is missing in {'test' if name in train else 'train'}/" for name in odd]
        raise UsageError(f"train/ and test/ must hold the same classes, but {', '.join(where)}; {_LAYOUT}")


def _samples(looked: list[list[_File]], folders: dict[str, Path]) -> Samples:
    chosen: list[_File] = []
    labels: list[int] = []
    for label, (folder, files) in enumerate(zip(folders.values(), looked, strict=True)):
        images = [file for file in files if not file.problem]
        if not images:
            found = f"none of its {len(files)} files can be used" if files else "it is empty"
            raise UsageError(f"class folder {folder} holds no image: {found}; add images, or remove the class")
        chosen += images
        labels += [label] * len(images)
    turns = np.array([file.orientation for file in chosen], np.int64)
    turned = turns if (turns != picture.UPRIGHT).any() else None
    return Samples(tuple(file.path for file in chosen), np.array(labels, np.int64), turned)


def _look(folder: Path) -> list[_File]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_look_at, _visible(folder)))


def _look_at(path: Path) -> _File:
    if path.is_dir():
        return _File(path, "it is a folder; images lie in the folder of their class itself")
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return _File(path, f"it is no image: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        return _decoded(path, path.read_bytes())
    except OSError as error:
        return _File(path, error.strerror or str(error))


def _problem(path: Path) -> str | None:
    """Why a file is left out, None when it is trained on."""
    return _look_at(path).problem or None


def _decoded(path: Path, content: bytes) -> _File:
    """What serving would see in the file."""
    import tensorflow as tf

    from trainer import pixels

    problem = picture.why_not(content) if content else "the file is empty"
    if problem:
        return _File(path, problem)
    try:
        height, width, _ = pixels.open_image(content).shape
    except (tf.errors.OpError, ValueError) as error:
        said = _NODE.sub("", str(getattr(error, "message", error))).partition(" [Op:")[0]
        return _File(path, f"it does not decode: {said}")
    return _File(path, "", picture.orientation(content), height * width)


def _tell(root: Path, files: list[_File]) -> None:
    """Warn of all files that are left out, and of those that can be trained on but not sent to the server."""
    bad = [file for file in files if file.problem]
    for file in bad:
        output.warn(f"{printable(str(file.path))} is left out: {file.problem}")
    if bad:
        output.warn(f"{len(bad)} of {len(files)} files below {root} are left out")
    for file in files:
        if file.pixels > MAX_PIXELS:
            output.warn(
                f"{printable(str(file.path))} has {file.pixels / 1e6:.0f} million pixels; the embedded engine takes "
                f"{MAX_PIXELS / 1e6:.0f} million, so make such pictures smaller before they are sent"
            )


def _warn_of_twins(train: Samples, test: Samples) -> None:
    """Say which test images are training images: the accuracy on them says nothing."""
    known = {hashlib.sha256(train.content(index)).digest() for index in range(len(train))}
    twins = [index for index in range(len(test)) if hashlib.sha256(test.content(index)).digest() in known]
    if twins:
        names = ", ".join(printable(str(test.sources[index])) for index in twins[:_NAMED])
        more = f" and {len(twins) - _NAMED} more" if len(twins) > _NAMED else ""
        output.warn(
            f"{len(twins)} of {len(test)} test images are training images, too: {names}{more}; the test "
            "accuracy will be too high"
        )


def _visible(folder: Path) -> list[Path]:
    """What a user put there, by name; not what file managers, archivers and notebooks leave everywhere."""
    shown = (path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in _LEFT)
    return sorted(shown, key=lambda path: path.name)
