"""Make a version appear in a base path atomically, and take one out again.

TensorFlow Serving loads any child of a base path whose name is a number the moment it sees it; there is no
marker that says "complete". So a version is copied under a name that is no number, brought to disk, and
renamed. Staging inside the base path keeps both names on one file system wherever that path is mounted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bundle import files
from bundle.copying import copy_folder
from bundle.errors import BundleError, UsageError
from bundle.versions import HIGH_WATER, highest_ever, parse_version, version_folders

STAGING_PREFIX = ".staging-"
HIDDEN_PREFIX = ".withdrawn-"
RETIRED_PREFIX = ".retired-"
TRAINED_PREFIX = ".trained-"
"""A finished training in a base path: whole and on disk, kept until it is released or refused."""
CLAIM_PREFIX = ".releasing-"
"""A lock file beside a training, held by whoever releases it, also before it is there."""
LOCK_NAME = ".publish.lock"
_ARRIVING_PREFIX = ".arriving-"

Numbered = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Version:
    """A published version: its number and its folder."""

    number: int
    path: Path


@contextlib.contextmanager
def staged(
    source: Path, base_path: Path, quarantine: Path, look_up: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """A copy of `source` on disk in `base_path`, under a name that no server looks at; gone after the block.

    The kernel holds a lock on it for as long as this process lives, so that nobody else sweeps it. `look_up` is called
    between the blocks of the copy, and may end it. A training that is staged there already is not copied, and stays
    when the block does not give it another name.
    """
    if not (source / "saved_model.pb").is_file():
        raise UsageError(f"{source} holds no saved_model.pb; give the folder of one SavedModel version")
    prepare(base_path)
    if training_name(source, base_path) is not None:
        yield source
        return
    with contextlib.ExitStack() as stack:
        with _explained(source, base_path), files.lock(base_path / LOCK_NAME):
            sweep(base_path, quarantine)
            folder = Path(tempfile.mkdtemp(prefix=STAGING_PREFIX, dir=base_path))
            stack.enter_context(files.held(folder))
            stack.callback(files.remove, folder)
        with _explained(source, base_path):
            copy_folder(source, folder, look_up)
            files.settle(folder)
        yield folder


def stage_training(source: Path, base_path: Path, quarantine: Path, name: str) -> Path:
    """Copy a finished training into `base_path`, where it appears whole and waits for its release; returns the copy."""
    target = base_path / f"{TRAINED_PREFIX}{name}"
    with staged(source, base_path, quarantine) as copy, _explained(source, base_path):
        copy.rename(target)
        files.fsync(base_path)
    return target


def training_name(folder: Path, base_path: Path) -> str | None:
    """The name that `folder` was staged under as a training, None when it is none of `base_path`."""
    here = folder.parent.resolve() == base_path.resolve()
    return folder.name.removeprefix(TRAINED_PREFIX) if here and folder.name.startswith(TRAINED_PREFIX) else None


def go_live(
    copy: Path, base_path: Path, quarantine: Path, numbered: Numbered | None = None, number: int | None = None
) -> Version:
    """Give a staged copy its number: the next one, or `number` when no folder in the base path is as high.

    `numbered` is called with the number just before the version appears under it. Publishers of one base path wait
    for each other.
    """
    with _explained(copy, base_path), files.lock(base_path / LOCK_NAME):
        taken = _take_number(base_path, quarantine, number)
        if numbered is not None:
            numbered(taken)
        target = base_path / str(taken)
        copy.rename(target)
        files.fsync(base_path)
        return Version(taken, target)


def go_live_below(copy: Path, base_path: Path, quarantine: Path) -> int:
    """Give a staged copy the next number n, but place it as -n, below every version; returns n."""
    with _explained(copy, base_path), files.lock(base_path / LOCK_NAME):
        number = _take_number(base_path, quarantine, None)
        copy.rename(base_path / str(-number))
        files.fsync(base_path)
        return number


@contextlib.contextmanager
def _explained(source: Path, base_path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise BundleError(f"cannot publish {source} into {base_path}: {what}") from error


def sweep(base_path: Path, quarantine: Path) -> None:
    """Clear what killed processes left in `base_path`. Call with the publish lock held."""
    for leftover in (*base_path.glob(f"{STAGING_PREFIX}*"), *base_path.glob(f"{RETIRED_PREFIX}*")):
        if not files.is_held(leftover):
            files.remove(leftover)
    for hidden in base_path.glob(f"{HIDDEN_PREFIX}*"):
        _finish_withdrawal(hidden, quarantine)
    for claim in base_path.glob(f"{CLAIM_PREFIX}*"):
        with files.try_lock(claim) as nobodys:
            if nobodys:
                claim.unlink(missing_ok=True)


def _finish_withdrawal(hidden: Path, quarantine: Path) -> None:
    """Move a version whose withdrawal to another file system was cut short; its reason was written first."""
    name = hidden.name.removeprefix(HIDDEN_PREFIX)
    reasons = sorted(quarantine.glob(f"{name}.reason.txt")) + sorted(quarantine.glob(f"{name}-*.reason.txt"))
    targets = [path.with_name(path.name.removesuffix(".reason.txt")) for path in reasons]
    pending = next((target for target in targets if not target.exists()), None)
    if pending is None:  # It arrived as a whole; only the old copy was still to be removed.
        files.remove(hidden)
    else:
        files.remove(pending.with_name(f"{_ARRIVING_PREFIX}{pending.name}"))
        move(hidden, pending)


def retire(base_path: Path, number: int) -> None:
    """Remove a version for good: it vanishes from the server's sight in one step."""
    with files.lock(base_path / LOCK_NAME):
        folder = version_folders(base_path).get(number)
        if folder is not None:
            hidden = folder.with_name(f"{RETIRED_PREFIX}{folder.name}")
            folder.rename(hidden)
            files.fsync(base_path)
            files.remove(hidden)


def withdraw(base_path: Path, number: int, quarantine: Path, reason: str) -> Path:
    """Move a version into quarantine with a text file that says why; returns its new place.

    The server sees the folder vanish in one step and goes back to the highest version that is left.
    """
    quarantine.mkdir(parents=True, exist_ok=True)
    with files.lock(base_path / LOCK_NAME):
        source = version_folders(base_path).get(number)
        if source is None:
            raise UsageError(f"{base_path} holds no version {number}; it holds {_listing(base_path)}")
        target = free_name(quarantine, str(abs(number)))
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
    arriving = target.with_name(f"{_ARRIVING_PREFIX}{target.name}")
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


def prepare(base_path: Path) -> None:
    """Make the base path when it is missing; raises BundleError with what to do when nothing can be written there."""
    try:
        base_path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleError(
            f"cannot make the base path {base_path}: {error.strerror}; check who owns {base_path.parent}"
        ) from error
    problem = files.why_not_writable(base_path)
    if problem:
        raise BundleError(problem)


def _take_number(base_path: Path, quarantine: Path, wanted: int | None) -> int:
    """The next number, recorded before anybody is told: a kill after this leaves a gap, never a number used twice."""
    highest = highest_ever(base_path, quarantine)
    number = highest + 1 if wanted is None else wanted
    newest = max(version_folders(base_path), default=0)
    if number <= newest:
        raise UsageError(f"{base_path} holds version {newest}; a version is served when its number is higher")
    if parse_version(str(number)) is None:
        raise BundleError(
            f"{base_path} has used {highest}, the highest number that the server reads; move that version away, "
            f"and write the number to count from into {base_path / HIGH_WATER}"
        )
    files.write_atomically(base_path / HIGH_WATER, f"{max(number, highest)}\n")
    return number


def _listing(base_path: Path) -> str:
    return ", ".join(map(str, version_folders(base_path))) or "no versions"
