"""Images in folders: train/<class>/* and test/<class>/* below DATA_DIR, any number of classes of any names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bundle import output
from bundle.errors import UsageError
from bundle.settings import Settings
from trainer.datasets.base import Dataset, Samples

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

# TensorFlow puts the place of the failing op before its message.
_NODE = re.compile(r"^\{\{.*?\}\}\s*")
_LAYOUT = "expected train/<class>/ and test/<class>/ with images in DATA_DIR"


def load(settings: Settings) -> Dataset:
    """The images below DATA_DIR, classes in name order; raises UsageError for a layout that cannot be right.

    Files that do not decode are named in a warning and left out.
    """
    root = settings.data_dir
    train, test = _class_folders(root, "train"), _class_folders(root, "test")
    _check_classes(train, test)
    return Dataset("folder", tuple(train), _samples(train), _samples(test))


def _class_folders(root: Path, part: str) -> dict[str, Path]:
    for folder in (root, root / part):
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; {_LAYOUT}")
    children = _visible(root / part)
    for child in children:
        if not child.is_dir():
            raise UsageError(f"{child} is a file; {_LAYOUT}: move it into the folder of its class, or away")
    return {child.name: child for child in children}


def _check_classes(train: dict[str, Path], test: dict[str, Path]) -> None:
    if len(train) < 2:
        found = f"only the class {next(iter(train))}" if train else "no class"
        raise UsageError(f"found {found} in train/, expected two or more; {_LAYOUT}")
    if train.keys() != test.keys():
        odd = sorted(train.keys() ^ test.keys())
        where = [f"{name} is missing in {'test' if name in train else 'train'}/" for name in odd]
        raise UsageError(f"train/ and test/ must hold the same classes, but {', '.join(where)}; {_LAYOUT}")


def _samples(folders: dict[str, Path]) -> Samples:
    sources: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(folders.values()):
        images = _images(folder)
        sources += images
        labels += [label] * len(images)
    return Samples(tuple(sources), np.array(labels, np.int64))


def _images(folder: Path) -> list[Path]:
    paths = _visible(folder)
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise UsageError(
                f"{path} is no image: expected files that end in {', '.join(SUFFIXES)} and nothing else in a class "
                "folder; convert it, or move it away"
            )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = list(pool.map(_problem, paths))
    for path, problem in zip(paths, problems, strict=True):
        if problem:
            output.warn(f"{path} does not decode and is left out: {problem}")
    images = [path for path, problem in zip(paths, problems, strict=True) if not problem]
    if not images:
        found = f"none of its {len(paths)} files decodes" if paths else "it is empty"
        raise UsageError(f"class folder {folder} holds no image: {found}; add images, or remove the class")
    return images


def _problem(path: Path) -> str | None:
    """Why serving could not decode the file, or None when it can."""
    import tensorflow as tf

    from trainer import pixels

    try:
        content = path.read_bytes()
        if not content:
            return "the file is empty"
        pixels.open_image(content)
    except (tf.errors.OpError, ValueError) as error:
        return _NODE.sub("", str(getattr(error, "message", error))).partition(" [Op:")[0]
    except OSError as error:
        return error.strerror or str(error)
    return None


def _visible(folder: Path) -> list[Path]:
    """What a user put there, by name; file managers leave hidden files and Thumbs.db everywhere."""
    return sorted(_shown(folder.iterdir()), key=lambda path: path.name)


def _shown(paths: Iterable[Path]) -> Iterable[Path]:
    return (path for path in paths if not path.name.startswith(".") and path.name != "Thumbs.db")
