"""The ledger: releases/<Model>.jsonl, one JSON object per line for everything that happened to a version.

It is only ever appended to, under a lock, and brought to disk line by line. A line that a kill or a full disk cut
short is taken off by the next append.
"""

from __future__ import annotations

import dataclasses
import datetime
import errno
import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from bundle import documents, files
from bundle.errors import BundleError
from bundle.settings import Settings

CHECKED, REFUSED, UNCHECKED = "checked", "refused", "unchecked"
PUBLISHING, PUBLISHED, AVAILABLE, FAILED = "publishing", "published", "available", "failed"
ROLLED_BACK, RESTORED, RETIRED, FOUND = "rolled-back", "restored", "retired", "found"
CANARY, PROMOTED, ABORTED = "canary", "promoted", "aborted"

_MODE = 0o664
_BLOCK = 4096


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line. `version` is None as long as a candidate has no number; `origin` is where it came from.

    `training` is the name that a training was staged under, which tells the lines of one from those of another.
    """

    time: str
    who: str
    event: str
    version: int | None
    origin: str
    reason: str
    verdicts: dict[str, str]
    figures: dict[str, float]
    training: str = ""


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ledger of one model at `path`; the file need not exist."""

    path: Path

    def append(
        self,
        event: str,
        version: int | None = None,
        *,
        origin: str = "",
        reason: str = "",
        verdicts: Mapping[str, str] | None = None,
        figures: Mapping[str, float] | None = None,
        training: str = "",
    ) -> Entry:
        """Write one line and return once it is on disk."""
        entry = Entry(
            _now(), who(), event, version, origin, reason, dict(verdicts or {}), dict(figures or {}), training
        )
        line = json.dumps(dataclasses.asdict(entry), ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
        with files.lock(self.path), files.named(self.path), os.fdopen(descriptor, "r+b", buffering=0) as file:
            _cut_torn_line(file)
            # A name may be of bytes that are no text: JSON says half a character as \\udcff.
            _write_whole(file, line.encode("utf-8", "backslashreplace"))
            os.fsync(file.fileno())
        files.fsync(self.path.parent)
        return entry

    def entries(self) -> list[Entry]:
        """All lines, oldest first; one that is still being written, or was cut short, is left out."""
        return list(self._read())

    def _read(self) -> Iterator[Entry]:
        if not self.path.is_file():
            return
        *lines, _ = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                yield documents.convert(json.loads(line), Entry)
            except ValueError as error:
                raise BundleError(
                    f"{self.path}:{number} is no line of a ledger ({error}); move the file away to begin a new one"
                ) from error


def of(settings: Settings, model: str) -> Ledger:
    """The ledger of a model of the bundle."""
    return Ledger(settings.releases_dir / f"{model}.jsonl")


def _write_whole(file: BinaryIO, data: bytes) -> None:
    """Write all of it or nothing: on a full disk the kernel takes a part and does not complain."""
    start = file.seek(0, os.SEEK_END)
    if file.write(data) != len(data):
        file.truncate(start)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cut_torn_line(file: BinaryIO) -> None:
    """Take off what stands behind the last line end: whoever wrote it died, or found the disk full."""
    end = file.seek(0, os.SEEK_END)
    position, tail = end, b""
    while position and b"\n" not in tail:
        step = min(_BLOCK, position)
        position = file.seek(position - step)
        tail = file.read(step) + tail
    whole = position + tail.rfind(b"\n") + 1
    if whole < end:
        file.truncate(whole)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def who() -> str:
    """The user and the machine that this process runs for and on."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # A container's uid need not have a name.
        name = "uid"
    return f"{name}@{socket.gethostname()} ({os.getuid()})"
