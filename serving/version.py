"""One version of a model: its state, and the count of requests that use it."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving.errors import Code
from serving.policy import Candidate, Phase

if TYPE_CHECKING:
    from serving.loading import LoadJob
    from serving.servable import Servable
    from serving.storage import Fingerprint


class State(enum.IntEnum):
    """The states of a version, numbered as in ModelVersionStatus.State."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What clients are told about a version."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class Handle:
    """A loaded version in the hands of a request."""

    model: str
    version: int
    servable: Servable


class Loaded:
    """A loaded version with the number of requests that hold it. Once retired it takes no new ones."""

    __slots__ = ("_count", "_idle", "_lock", "_retired", "handle")

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self._lock = threading.Lock()
        self._count = 0
        self._retired = False
        self._idle = threading.Event()

    def pin(self) -> bool:
        """Take hold of the version; False when it has been retired."""
        with self._lock:
            if self._retired:
                return False
            self._count += 1
            return True

    def unpin(self) -> None:
        """Let go of the version."""
        with self._lock:
            self._count -= 1
            if self._retired and not self._count:
                self._idle.set()

    def retire(self) -> None:
        """Refuse new holders from now on."""
        with self._lock:
            self._retired = True
            if not self._count:
                self._idle.set()

    def wait_idle(self, timeout_s: float | None = None) -> bool:
        """Wait until it is retired and nobody holds it; False when the time is over first."""
        return self._idle.wait(timeout_s)

    @property
    def in_use(self) -> int:
        """How many requests hold it now."""
        return self._count


class Version:
    """What the manager knows of one version. Everything in it is guarded by the manager's lock."""

    def __init__(self, model: str, number: int, path: Path) -> None:
        self.model = model
        self.number = number
        self.path = path
        self.state = State.START
        self.code = Code.OK
        self.message = ""
        self.aspired = False
        self.failing = False
        """Whether the last attempt to load what is in the folder now has failed."""
        self.job: LoadJob | None = None
        self.loaded: Loaded | None = None
        self.tried: Fingerprint | None = None
        self.seen: Fingerprint | None = None

    def __str__(self) -> str:
        return f"{self.model} version {self.number}"

    @property
    def candidate(self) -> Candidate:
        """The version as the policy sees it."""
        return Candidate(self.number, self.aspired, self._phase())

    @property
    def status(self) -> VersionStatus:
        """The version as clients see it."""
        return VersionStatus(self.number, self.state, self.code, self.message)

    @property
    def given_up(self) -> bool:
        """Whether it failed and no attempt is under way or to come."""
        return self.failing and self.job is None

    def set(self, state: State, code: Code = Code.OK, message: str = "") -> None:
        """Enter a state."""
        self.state, self.code, self.message = state, code, message

    def _phase(self) -> Phase:
        if self.job is not None:
            return Phase.LOADING
        if self.state is State.AVAILABLE:
            return Phase.READY
        if self.state is State.UNLOADING:
            return Phase.UNLOADING
        if self.failing:
            return Phase.ERROR
        return Phase.NEW if self.aspired else Phase.DISABLED
