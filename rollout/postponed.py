"""Candidates that could not be checked and are tried again: how often, why, and when the next try is.

A pause grows fivefold: one minute outlasts the check of another version, five a training, and a machine that has
neither time nor memory for a check after that has not too little of them for the moment. A gate that is not there is no
try: its candidates wait for it, however long that takes. The notes are files, so that they outlive the watcher.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import time
from pathlib import Path

from bundle import documents, files
from bundle.errors import BundleError
from rollout.candidate import fingerprint
from rollout.gate.queue import NoGate
from rollout.release import Unchecked

MOST_TRIES = 3
_PREFIX = ".waits-"
_GROWTH = 5


@dataclasses.dataclass(frozen=True)
class Postponed:
    """Why a candidate waits. `due` is the time of the next try, None when it waits for a gate.

    `looks` tells it from what may lie under its name later.
    """

    name: str
    looks: str
    tries: int
    reason: str
    due: float | None
    pause_s: float

    def is_due(self, now: float, gate_is_there: bool) -> bool:
        """Whether it is to be tried again; a clock that was set back does not make the pause longer."""
        if self.due is None:
            return gate_is_there
        return not 0 < self.due - now <= self.pause_s

    def in_words(self) -> str:
        """Which try it was, why it failed and when the next is."""
        if self.due is None:
            return f"{self.reason}; it is tried as soon as a gate is there"
        at = datetime.datetime.fromtimestamp(self.due).strftime("%Y-%m-%d %H:%M:%S")
        return f"try {self.tries} of {MOST_TRIES}: {self.reason}; the next one is at {at}"


class Postponements:
    """The notes about the candidates of one folder, kept in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Postponed] = {}

    def of(self, name: str, looks: str) -> Postponed | None:
        """The note about a candidate that looks as it did then; None when there is none."""
        found = self._known.get(name) or _read(self._path(name))
        return found if found is not None and (found.name, found.looks) == (name, looks) else None

    def put_off(self, name: str, looks: str, error: BundleError, first_pause_s: float, tries: int) -> Postponed:
        """Note that one more try than the `tries` before has failed, and when the next one is."""
        if isinstance(error, NoGate):
            return self._note(Postponed(name, looks, tries, str(error), None, 0.0))
        pause_s = first_pause_s * _GROWTH ** min(tries, MOST_TRIES - 1)
        return self._note(Postponed(name, looks, tries + 1, _reason(error), time.time() + pause_s, pause_s))

    def forget(self, name: str) -> None:
        """Take the note away."""
        self._known.pop(name, None)
        self._path(name).unlink(missing_ok=True)

    def all(self) -> dict[str, Postponed]:
        """Every note by the candidate's name."""
        found = [_read(path) for path in self._folder.glob(f"{_PREFIX}*")]
        return {note.name: note for note in found if note is not None}

    def _note(self, note: Postponed) -> Postponed:
        self._known[note.name] = note
        with contextlib.suppress(OSError):  # On a full disk this process remembers all the same.
            files.write_atomically(self._path(note.name), json.dumps(dataclasses.asdict(note)) + "\n")
        return note

    def _path(self, name: str) -> Path:
        # A name may be as long as the file system lets it, and of bytes that are no text.
        return self._folder / f"{_PREFIX}{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def tries_over(note: Postponed | None, error: BundleError) -> str:
    """Why a candidate is refused when `error` is one try too many; an empty text when it may be tried again."""
    tries = note.tries if note else 0
    if isinstance(error, NoGate) or tries + 1 < MOST_TRIES:
        return ""
    return f"it was tried {MOST_TRIES} times, the last time with this end: {_reason(error)}"


def looks_of(entry: Path) -> str:
    """Another text for each content that `entry` may have."""
    found = sorted(map(str, fingerprint(entry)))
    return hashlib.sha256("\0".join(found).encode("utf-8", "surrogateescape")).hexdigest()


def _reason(error: BundleError) -> str:
    return error.reason if isinstance(error, Unchecked) else str(error)


def _read(path: Path) -> Postponed | None:
    try:
        return documents.convert(json.loads(path.read_bytes()), Postponed)
    except (OSError, ValueError):
        return None
