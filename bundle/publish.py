"""Make a version appear in a base path atomically, and take one out again.

TensorFlow Serving loads any child of a base path whose name is a number the moment it sees it; there is no
marker that says "complete". So a version is copied under a name that is no number, brought to disk, and
renamed. Staging inside the base path keeps both names on one file system wherever that path is mounted.
"""

from __future__ import annotations

import dataclasses
import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bundle import files
from bundle.errors import BundleError, UsageError
from bundle.versions import HIGH_WATER, highest_ever, parse_version, version_folders

STAGING_PREFIX = ".staging-"
HIDDEN_PREFIX = ".withdrawn-"
LOCK_NAME = ".publish.lock"


@dataclasses.dataclass(frozen=True)
class Version:
    """A published version: its number and its folder."""

    number: int
    path: Path


def publish(source: Path, base_path: Path, quarantine: Path, numbered: Callable[[int], None] | None = None) -> Version:
    """Copy `source` and publish the copy as the next version, whole or not at all.

    The number is the highest ever used plus one: deleted and quarantined versions count, so that a number
    never means two things. Publishers of one base path wait for each other; what killed ones left behind is
    swept. `numbered` is called with the number just before the version appears under it.
    """
    if not (source / "saved_model.pb").is_file():
        raise UsageError(f"{source} holds no saved_model.pb; give the folder of one SavedModel version")
    _prepare_base_path(base_path)
    try:
        with files.lock(base_path / LOCK_NAME):
            return _publish(source, base_path, quarantine, numbered)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise BundleError(f"cannot publish {source} into {base_path}: {what}") from error


def _publish(source: Path, base_path: Path, quarantine: Path, numbered: Callable[[int], None] | None) -> Version:
    sweep(base_path)
    staged = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=base_path))
    try:
        _copy(source, staged)
        number = _take_number(base_path, quarantine)
        if numbered is not None:
            numbered(number)
        return _go_live(staged, base_path, number)
    finally:
        files.remove(staged)


def sweep(base_path: Path) -> None:
    """Remove what killed publishers left in `base_path`. Call with the publish lock held."""
    for leftover in base_path.glob(f"{STAGING_PREFIX}*"):
        files.remove(leftover)


def withdraw(base_path: Path, number: int, quarantine: Path, reason: str) -> Path:
    """Move a version into quarantine with a text file that says why; returns its new place.

    The server sees the folder vanish in one step and goes back to the highest version that is left.
    """
    quarantine.mkdir(parents=True, exist_ok=True)
    with files.lock(base_path / LOCK_NAME):
        source = version_folders(base_path).get(number)
        if source is None:
            raise UsageError(f"{base_path} holds no version {number}; it holds {_listing(base_path)}")
        target = free_name(quarantine, str(number))
        files.write_atomically(target.with_name(f"{target.name}.reason.txt"), reason.rstrip() + "\n")
        move(source, target)
        files.fsync(base_path)
        return target


def move(source: Path, target: Path) -> None:
    """Move a folder or file in one step, across file systems as well: it vanishes from its old place at once."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_far(source, target)


def _move_far(source: Path, target: Path) -> None:
    """Hide `source` from the server in one step, then take the time that copying needs; undone when that fails."""
    hidden = source if source.name.startswith(".") else source.with_name(f"{HIDDEN_PREFIX}{source.name}")
    arriving = target.with_name(f".arriving-{target.name}")
    source.rename(hidden)
    try:
        if hidden.is_dir() and not hidden.is_symlink():
            shutil.copytree(hidden, arriving, symlinks=True, copy_function=_copy_as_it_is)
        else:
            _copy_as_it_is(hidden, arriving)
        if arriving.exists() or arriving.is_symlink():
            arriving.rename(target)
    except OSError:
        files.remove(arriving)
        hidden.rename(source)
        raise
    files.remove(hidden)


def _copy_as_it_is(source: str | Path, target: str | Path) -> None:
    if Path(source).is_symlink() or Path(source).is_file():  # A pipe or a socket holds nothing to keep.
        shutil.copy2(source, target, follow_symlinks=False)


def free_name(folder: Path, wanted: str) -> Path:
    """`folder/wanted`, or with `-2`, `-3`, ... behind it when that name or its reason file is taken."""
    names = {path.name for path in folder.iterdir()}
    candidates = [wanted, *(f"{wanted}-{n}" for n in range(2, len(names) + 3))]
    return folder / next(n for n in candidates if n not in names and f"{n}.reason.txt" not in names)


def _prepare_base_path(base_path: Path) -> None:
    try:
        base_path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleError(
            f"cannot make the base path {base_path}: {error.strerror}; check who owns {base_path.parent}"
        ) from error
    problem = files.why_not_writable(base_path)
    if problem:
        raise BundleError(problem)


def _copy(source: Path, staged: Path) -> None:
    """Copy with links followed, so that no later change outside can reach into the published version."""
    try:
        shutil.copytree(source, staged, dirs_exist_ok=True, copy_function=_copy_file)
    except shutil.Error as error:
        problems = "; ".join(f"{entry[0]}: {entry[2]}" for entry in error.args[0])
        raise BundleError(f"cannot copy {source} into {staged.parent}: {problems}. Nothing was published") from error
    files.settle(staged)


def _copy_file(source: str, target: str) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # No OSError: copytree would collect it, and go on with the next file.
        raise BundleError(
            f"cannot copy {source} to {target}: {error.strerror}; free some space there. Nothing was published"
        ) from error


def _take_number(base_path: Path, quarantine: Path) -> int:
    """The next number, recorded before anybody is told: a kill after this leaves a gap, never a number used twice."""
    number = highest_ever(base_path, quarantine) + 1
    if parse_version(str(number)) is None:
        raise BundleError(
            f"{base_path} has used {number - 1}, the highest number that the server reads; move that version away, "
            f"and write the number to count from into {base_path / HIGH_WATER}"
        )
    files.write_atomically(base_path / HIGH_WATER, f"{number}\n")
    return number


def _go_live(staged: Path, base_path: Path, number: int) -> Version:
    target = base_path / str(number)
    staged.rename(target)
    files.fsync(base_path)
    return Version(number, target)


def _listing(base_path: Path) -> str:
    return ", ".join(map(str, version_folders(base_path))) or "no versions"
