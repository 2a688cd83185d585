"""What lies in the folder of a version: what writers of SavedModels put there, and nothing else."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from rollout.gate.report import Finding
from rollout.gate.text import listed, shown

_FILES = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "batching_params.pbtxt"}
_FOLDERS = {"variables", "assets", "assets.extra", "debug"}
_UNTRIED = {"batching_params.pbtxt": "a server with --enable_per_model_batching_parameters batches by it"}
_OTHERS = {
    "saved_model.pbtxt": "it is a second SavedModel, as text; only saved_model.pb was checked",
    "saved_model.cpb": "it is a second SavedModel, in chunks; only saved_model.pb was checked",
    "export.meta": "it marks the format before SavedModel, and servers then refuse to load the version",
    "model.tflite": "a server with --prefer_tflite_model serves it instead of the graph that was checked",
}
_UNKNOWN = "no writer of SavedModels puts it there"
# What systems and tools leave in any folder, and what people read: no server opens a file of such a name.
_BESIDE = re.compile(
    r"\..*|__MACOSX|Thumbs\.db|desktop\.ini|Icon\r|(README|LICEN[CS]E|NOTICE|COPYING|CHANGELOG)(\.(md|rst|txt))?",
    re.IGNORECASE,
)


def check(folder: Path) -> Finding:
    """Whether `folder` holds nothing that a server could load beside the SavedModel, and no link."""
    problems = [*_strangers(folder), *_no_files(folder)]
    if problems:
        remedy = "remove it; what should travel with the version can lie in assets.extra/"
        return Finding("layout", "failed", listed(problems), remedy)
    noted = [f"{name} is not tried here: {why}" for name, why in _UNTRIED.items() if (folder / name).exists()]
    noted += [f"{shown(name)} is no part of a SavedModel, and servers pass it by" for name in _beside(folder)]
    if noted:
        return Finding("layout", "noted", listed(noted))
    return Finding("layout", "passed", f"nothing but {', '.join(_names(folder))}")


def _strangers(folder: Path) -> Iterator[str]:
    for name in _names(folder):
        path = folder / name
        if _BESIDE.fullmatch(name):
            continue
        if name not in _FILES | _FOLDERS:
            yield f"it holds {shown(name)}: {_OTHERS.get(name, _UNKNOWN)}"
        elif not path.is_symlink() and path.is_dir() != (name in _FOLDERS):
            found, wanted = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            yield f"{name} is {found}, where SavedModels have {wanted}"


def _beside(folder: Path) -> list[str]:
    return [name for name in _names(folder) if _BESIDE.fullmatch(name)]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _no_files(folder: Path) -> Iterator[str]:
    """What can turn into something else after it was checked, or holds no content of its own."""
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield f"{shown(str(path.relative_to(folder)))} is a link, which may lead elsewhere tomorrow"
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield f"{shown(str(path.relative_to(folder)))} is neither a file nor a folder"
