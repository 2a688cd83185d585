"""A dropped .zip or .tar.gz unpacked: files and folders inside its own folder, and no more than there is room for.

What an archive may hold besides, links, devices, names that lead elsewhere, is refused by name, not left out.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from bundle.errors import RefusedVersion
from bundle.text import printable

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")

_BLOCK: Final = 1 << 20
_MOST_FILES: Final = 100_000
# A directory of that many files is smaller; a header that says more is there to take memory.
_LARGEST_READ: Final = 64 << 20
# The version is copied into the base path afterwards, which takes as much again.
_SHARE_OF_ROOM: Final = 2
_LEFT_BY_SYSTEMS: Final = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})

Member = tuple[str, int, Callable[[], IO[bytes]] | None]
"""Name, mode, and what opens it; None for a folder."""


def is_archive(path: Path) -> bool:
    """Whether `path` is a file with the name of an archive that can be unpacked."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file() and not path.is_symlink()


def unpack(archive: Path, target: Path, look_up: Callable[[], None] = lambda: None) -> None:
    """Unpack `archive` into the new folder `target`; `look_up` is called between blocks, and may raise.

    Raises RefusedVersion for what must not be in a version, or cannot be read; OSError for what the disk says.
    """
    target.mkdir()
    try:
        with _explained(), _bounded(archive) as file:
            writer = _Writer(target, look_up)
            for name, mode, opened in _members(archive, file):
                writer.add(name, mode, opened)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


class _Writer:
    def __init__(self, target: Path, look_up: Callable[[], None]) -> None:
        self._target = target
        self._look_up = look_up
        self._most_bytes = shutil.disk_usage(target).free // _SHARE_OF_ROOM
        self._bytes = 0
        self._files = 0

    def add(self, name: str, mode: int, opened: Callable[[], IO[bytes]] | None) -> None:
        """Write a file, or make a folder."""
        self._files += 1
        if self._files > _MOST_FILES:
            raise RefusedVersion(f"the archive holds more than {_MOST_FILES} files; a SavedModel has a few")
        path = self._target.joinpath(*_parts(name))
        if mode & (stat.S_ISUID | stat.S_ISGID):
            raise RefusedVersion(f"{printable(name)} in the archive has a set-id bit; pack it without: chmod a-s")
        if _LEFT_BY_SYSTEMS & set(path.parts) or path.name.startswith("._"):
            return
        if opened is None:
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened() as source, path.open("xb") as file:
            self._copy(source, file)

    def _copy(self, source: IO[bytes], file: IO[bytes]) -> None:
        while block := source.read(_BLOCK):
            self._look_up()
            self._bytes += len(block)
            if self._bytes > self._most_bytes:
                raise RefusedVersion(
                    f"the archive unpacks to more than {self._most_bytes >> 20} MB, half of the room there is: make "
                    "room, or drop the folder"
                )
            file.write(block)


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise RefusedVersion(f"{printable(name)} in the archive leads out of it; pack the folder itself")
    return path.parts


def _members(archive: Path, file: IO[bytes]) -> Iterator[Member]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(file) as packed:
            yield from _zipped(packed)
    elif archive.name.lower().endswith(".tar"):
        yield from _tarred(file)
    else:
        with gzip.GzipFile(fileobj=file) as plain:
            yield from _tarred(_Bounded(plain))  # type: ignore[arg-type]


def _zipped(packed: zipfile.ZipFile) -> Iterator[Member]:
    for entry in packed.infolist():
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise RefusedVersion(f"{printable(entry.filename)} in the archive is {_kind(mode)}; expected files")
        if entry.flag_bits & 1:
            raise RefusedVersion(f"{printable(entry.filename)} in the archive is encrypted; pack it without a password")
        opened = None if entry.is_dir() else partial(packed.open, entry)
        yield entry.filename, mode, opened


def _tarred(file: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:") as packed:
        for entry in packed:
            if not (entry.isreg() or entry.isdir()):
                what = "a link" if entry.issym() or entry.islnk() else "neither a file nor a folder"
                raise RefusedVersion(f"{printable(entry.name)} in the archive is {what}; expected files")
            yield entry.name, entry.mode, None if entry.isdir() else partial(_opened, packed, entry)
            packed.members.clear()  # type: ignore[attr-defined] # They are not needed again, and may be many.


def _opened(packed: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    source = packed.extractfile(entry)
    assert source is not None
    return source


def _kind(mode: int) -> str:
    return "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"


@contextlib.contextmanager
def _bounded(archive: Path) -> Iterator[IO[bytes]]:
    handle = os.open(archive, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        yield _Bounded(file)  # type: ignore[misc]


class _Bounded:
    """A file that gives out no more at once than anything honest asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close, self.seekable = file.seek, file.tell, file.close, file.seekable
        self.mode = "rb"

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        if size > _LARGEST_READ:
            raise RefusedVersion(f"the archive has a header of {size} bytes; it is none that packs a SavedModel")
        return self._file.read(size if size >= 0 else _LARGEST_READ)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RefusedVersion, OSError) as error:
        if isinstance(error, (gzip.BadGzipFile, FileExistsError, NotADirectoryError, IsADirectoryError)):
            raise RefusedVersion(f"the archive cannot be unpacked: {printable(str(error))}") from error
        raise
    except Exception as error:  # Its readers raise whatever their inputs bring out.
        what = printable(str(error)) or type(error).__name__
        raise RefusedVersion(f"the archive cannot be unpacked, was it copied whole? {what}") from error
