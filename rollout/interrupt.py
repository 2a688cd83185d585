"""An interruption that takes effect only where the code at hand says that it may."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Interrupted(KeyboardInterrupt):
    """The work at hand was told to end; what had begun is undone on the way out."""


class Interruption:
    """Asked for by a signal handler; raised at once inside an `allowed` block, else at the next one."""

    def __init__(self) -> None:
        self.requested = False
        self._allowed = False

    def request(self) -> None:
        """End the `allowed` block that runs, or the next one when it begins."""
        self.requested = True
        if self._allowed:
            raise Interrupted

    def look_up(self) -> None:
        """Raise Interrupted if it was asked for: for work that asks by itself, at moments that suit it."""
        if self.requested:
            raise Interrupted

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let the block be interrupted."""
        self._allowed = True
        try:
            self.look_up()
            yield
        finally:
            self._allowed = False
