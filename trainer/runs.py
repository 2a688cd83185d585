"""Run folders: runs/<time>/ keeps what a training did, its scratch folder holds what must not outlive it."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import itertools
from collections.abc import Iterator
from pathlib import Path

from bundle import files
from bundle.errors import BundleError, UsageError

_SCRATCH = ".scratch"
_LOCK = ".lock"


@contextlib.contextmanager
def new(runs_dir: Path) -> Iterator[tuple[Path, Path]]:
    """A new run folder and a scratch folder in it that is gone afterwards; sweeps what killed runs left."""
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        run = _new_folder(runs_dir)
    except OSError as error:
        raise BundleError(f"cannot write into {runs_dir}: {error.strerror}; check who owns it") from error
    with _locked(run):
        sweep(runs_dir)
        with _scratch(run) as scratch:
            yield run, scratch


@contextlib.contextmanager
def again(run: Path) -> Iterator[tuple[Path, Path]]:
    """The same for a run that has ended before it was done; raises UsageError when it is at work."""
    with (run / _LOCK).open("a") as lock:
        if not _try_lock(lock.fileno()):
            raise UsageError(f"{run} is at work; wait for it, or end it first")
        files.remove(run / _SCRATCH)
        with _scratch(run) as scratch:
            yield run, scratch


@contextlib.contextmanager
def _scratch(run: Path) -> Iterator[Path]:
    scratch = run / _SCRATCH
    try:
        scratch.mkdir()
        yield scratch
    finally:
        files.remove(scratch)
        (run / _LOCK).unlink(missing_ok=True)


def sweep(runs_dir: Path) -> None:
    """Remove the scratch folders of runs that are no longer alive."""
    for scratch in runs_dir.glob(f"*/{_SCRATCH}"):
        run = scratch.parent
        with (run / _LOCK).open("a") as lock:
            if _try_lock(lock.fileno()):
                files.remove(scratch)
                (run / _LOCK).unlink(missing_ok=True)


def _new_folder(runs_dir: Path) -> Path:
    now = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    for attempt in itertools.count(1):
        folder = runs_dir / (now if attempt == 1 else f"{now}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


@contextlib.contextmanager
def _locked(run: Path) -> Iterator[None]:
    # Held by the kernel for as long as this process lives, however it ends.
    with (run / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
