"""Files that survive a crash: everything reaches the disk before its name does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

FILE_MODE = 0o644
FOLDER_MODE = 0o755


def fsync(path: Path) -> None:
    """Return once `path`, a file or a folder, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(folder: Path) -> None:
    """Give everything below `folder` readable modes and return once all of it is on disk."""
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(parent, name)
            path.chmod(FILE_MODE)
            fsync(path)
        Path(parent).chmod(FOLDER_MODE)
        fsync(Path(parent))


def add(source: Path, target: Path) -> None:
    """Copy what lies in the folder `source` into the folder `target`, and return once it is on disk."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    settle(target)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Have an OSError of the block say that it is about `path`: one of a write does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace `path` in one step: a reader sees the old content or the new, also after a crash."""
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with named(path), os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(FILE_MODE)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    fsync(path.parent)


def why_not_writable(folder: Path) -> str:
    """Why nothing can be made in `folder`, with what to do about it; an empty text when something can."""
    if os.access(folder, os.W_OK | os.X_OK):
        return ""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} is not writable: its file system is mounted read-only. Mount it for writing"
    me, owner = os.getuid(), folder.stat().st_uid
    remedy = f"chmod u+rwx {folder}" if me == owner else f"sudo chown -R {me} {folder}"
    return f"{folder} is not writable for uid {me}; it belongs to uid {owner}. Run: {remedy}"


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; it may be gone already."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path, taken: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` alone; the kernel frees it when its holder dies.

    `taken` is called when somebody else holds it, before the wait for him.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock file `path` alone unless somebody else does, who may remove it; says whether it is held.

    The kernel frees it when its holder dies.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, FILE_MODE)  # It may be another user's.
    try:
        yield _locks(descriptor) and _is_at(path, descriptor)
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one at `path`: who held it before may have removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Mark `folder` as in use by this process; the kernel takes the mark away when the process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process that is alive has marked `path` as in use."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return not _locks(descriptor)
    finally:
        os.close(descriptor)


def size_in_bytes(folder: Path) -> int:
    """Sum of the sizes of the files below `folder`, those that links lead to as well.

    It never raises: what goes away meanwhile, or cannot be looked at, has no size.
    """
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                facts = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 - a million Paths take seconds
                total += facts.st_size if stat.S_ISREG(facts.st_mode) else 0
    return total
