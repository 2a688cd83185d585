"""In which order the drops of a model were taken: no clock decides which one came last.

A drop gets its number when it is taken for the first time, and keeps it as long as its content stays the same: while
it waits for another try, and over restarts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

from bundle import documents, files
from rollout.postponed import looks_of

_PREFIX = ".turn-"


@dataclasses.dataclass(frozen=True)
class _Turn:
    name: str
    looks: str
    number: documents.Count


@dataclasses.dataclass(frozen=True)
class _Last:
    given: documents.Count = 0
    live: documents.Count = 0


class Turns:
    """The numbers of the drops in `folder`; `record` says which one was given last, and which one is live."""

    def __init__(self, folder: Path, record: Path) -> None:
        self._folder = folder
        self._record = record

    def of(self, entry: Path) -> int | None:
        """The number that `entry` was given; None when it was not taken before, or has new content."""
        with contextlib.suppress(OSError, ValueError):
            turn = documents.convert(json.loads(self._path(entry.name).read_bytes()), _Turn)
            if (turn.name, turn.looks) == (entry.name, looks_of(entry)):
                return turn.number
        return None

    def give(self, entry: Path) -> int:
        """The number of `entry`, the next one if it has none."""
        number = self.of(entry)
        if number is None:
            last = self._last()
            number = last.given + 1
            self._write(self._record, dataclasses.replace(last, given=number))
            self._write(self._path(entry.name), _Turn(entry.name, looks_of(entry), number))
        return number

    def is_overtaken(self, number: int) -> bool:
        """Whether a drop that was taken later is live, or was."""
        return number < self._last().live

    def went_live(self, number: int) -> None:
        """Note that the drop of that number went live."""
        last = self._last()
        self._write(self._record, dataclasses.replace(last, live=max(number, last.live)))

    def forget(self, name: str) -> None:
        """Take the number of a drop away."""
        self._path(name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Take away the numbers of drops that are gone."""
        for path in self._folder.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError, ValueError):
                turn = documents.convert(json.loads(path.read_bytes()), _Turn)
                if os.path.lexists(self._folder / turn.name):
                    continue
            path.unlink(missing_ok=True)

    def _last(self) -> _Last:
        with contextlib.suppress(OSError, ValueError):
            return documents.convert(json.loads(self._record.read_bytes()), _Last)
        return _Last()

    def _write(self, path: Path, document: _Turn | _Last) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, json.dumps(dataclasses.asdict(document)) + "\n")

    def _path(self, name: str) -> Path:
        # A name may be as long as the file system lets it, and of bytes that are no text.
        return self._folder / f"{_PREFIX}{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
