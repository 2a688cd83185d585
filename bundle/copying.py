"""A copy of a folder that somebody else has written: all of it, nothing but it, and no more than there is room for.

Links are followed as long as they stay inside the folder; each step is opened without following any, so that one that
is put in place meanwhile leads nowhere. What is neither a file nor a folder is refused before it is opened.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bundle.errors import RefusedVersion, UncheckedVersion
from bundle.text import printable

_BLOCK: Final = 8 << 20
_MOST_FILES: Final = 100_000
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

Parts = tuple[str, ...]


def copy_folder(source: Path, target: Path, look_up: Callable[[], None] = lambda: None) -> None:
    """Copy what is in `source` into the folder `target`; `look_up` is called between blocks, and may raise.

    Raises RefusedVersion for what must not be in a version, UncheckedVersion when there is no room, OSError for what
    cannot be read.
    """
    root = Path(os.path.realpath(source))
    # Opened once: whoever puts a link in its place afterwards has no part in the copy.
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _Copier(root, handle, target, look_up).folder((), target, frozenset())
    finally:
        os.close(handle)


class _Copier:
    def __init__(self, root: Path, handle: int, target: Path, look_up: Callable[[], None]) -> None:
        self._root = root
        self._handle = handle
        self._look_up = look_up
        self._room = shutil.disk_usage(target).free
        self._bytes = 0
        self._files = 0

    def folder(self, parts: Parts, target: Path, above: frozenset[tuple[int, int]]) -> None:
        """Copy the folder at `parts` below the root; `above` are the folders that it is in."""
        handle = self._open(parts, os.O_DIRECTORY)
        try:
            facts = os.fstat(handle)
            identity = facts.st_dev, facts.st_ino
            if identity in above:
                raise _refused(parts, "is a link that leads back to a folder that it is in")
            target.mkdir(exist_ok=True)
            for name in sorted(entry.name for entry in os.scandir(handle)):
                self._entry((*parts, name), target / name, above | {identity})
        finally:
            os.close(handle)

    def _entry(self, parts: Parts, target: Path, above: frozenset[tuple[int, int]]) -> None:
        self._count(parts)
        path = self._root.joinpath(*parts)
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            parts = self._behind(parts, path)
            mode = self._root.joinpath(*parts).lstat().st_mode
        if stat.S_ISDIR(mode):
            self.folder(parts, target, above)
        elif stat.S_ISREG(mode):
            self._file(parts, target)
        else:
            raise _refused(parts, f"is {_KINDS.get(stat.S_IFMT(mode), 'neither a file nor a folder')}")

    def _behind(self, parts: Parts, path: Path) -> Parts:
        """Where a link leads, as parts below the root."""
        try:
            real = Path(os.path.realpath(path, strict=True))
        except OSError as error:
            raise _refused(parts, f"is a link that leads nowhere ({os.strerror(error.errno or errno.ELOOP)})") from None
        if not real.is_relative_to(self._root):
            raise _refused(parts, "is a link that leads out of the folder")
        return real.relative_to(self._root).parts

    def _file(self, parts: Parts, target: Path) -> None:
        # Without waiting: a pipe may have been put in its place.
        handle = self._open(parts, os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise _refused(parts, "is no file any more")
            if facts.st_mode & _SET_ID:
                raise _refused(parts, "has a set-id bit; run: chmod ug-s on it")
            self._require_room(parts, facts.st_size)
            with target.open("xb", buffering=0) as copy:
                while block := file.read(_BLOCK):
                    self._bytes += len(block)
                    self._require_room(parts, 0)
                    self._write(copy.fileno(), block, target)
                    self._look_up()

    def _write(self, handle: int, block: bytes, target: Path) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(handle, view) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_room(f"cannot write {target}: {error.strerror}") from error
            raise

    def _open(self, parts: Parts, flags: int) -> int:
        """Open what is at `parts`, step by step, following no link."""
        handle = os.dup(self._handle)
        for number, part in enumerate(parts, 1):
            wanted = flags if number == len(parts) else os.O_DIRECTORY
            try:
                inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | wanted, dir_fd=handle)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _refused(parts, "became a link while it was copied") from None
                error.filename = str(self._root.joinpath(*parts))
                raise
            finally:
                os.close(handle)
            handle = inner
        return handle

    def _count(self, parts: Parts) -> None:
        self._files += 1
        self._look_up()
        if self._files > _MOST_FILES:
            raise _refused(parts, f"is one of more than {_MOST_FILES} files and folders, links followed")

    def _require_room(self, parts: Parts, more: int) -> None:
        """By its length, not by what it takes on disk: a sparse file is copied in full."""
        if self._bytes + more > self._room:
            found, free = f"{(self._bytes + more) / 1e6:.1f} MB or more", f"{self._room / 1e6:.1f} MB"
            raise _no_room(f"with {_named(parts)} it has {found}, and {free} are free")


def _named(parts: Parts) -> str:
    return printable("/".join(parts) or ".")


def _refused(parts: Parts, why: str) -> RefusedVersion:
    return RefusedVersion(
        f"{_named(parts)} {why}; expected files and folders, and links that stay inside. Nothing was published"
    )


def _no_room(what: str) -> UncheckedVersion:
    return UncheckedVersion(f"no room for the copy: {what}; free some space there. Nothing was published")
