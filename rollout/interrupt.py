"""An interruption that takes effect only where the code at hand says that it may."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_here = threading.local()


class Interrupted(KeyboardInterrupt):
    """The work at hand was told to end; what had begun is undone on the way out."""


class Interruption:
    """Asked for by any thread; raised where the work looks up, inside an `allowed` block."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """End the `allowed` block that runs, or the next one when it begins."""
        self.requested = True

    def look_up(self) -> None:
        """Raise Interrupted if it was asked for."""
        if self.requested:
            raise Interrupted

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let what this thread does in the block be interrupted, where it calls `look_up` of this module."""
        before = getattr(_here, "current", None)
        _here.current = self
        try:
            self.look_up()
            yield
        finally:
            _here.current = before


def look_up() -> None:
    """Raise Interrupted if the work of this thread may be interrupted, and somebody asked for that."""
    current: Interruption | None = getattr(_here, "current", None)
    if current is not None:
        current.look_up()
