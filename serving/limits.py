"""One time limit for many requests, with one timer for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable


class Limits:
    """Calls `expire` functions `timeout_s` seconds after they were added, but for those removed before.

    `call_later` is the event loop's; everything is to be called in the loop.
    """

    def __init__(self, call_later: Callable[[float, Callable[[], None]], object], timeout_s: float) -> None:
        self._call_later = call_later
        self._timeout_s = timeout_s
        # The oldest comes first, and is the first to be due.
        self._waiting: dict[int, tuple[float, Callable[[], None]]] = {}
        self._last_key = 0
        self._is_set = False

    def add(self, expire: Callable[[], None]) -> int:
        """Watch over a request; returns the key to remove it by."""
        self._last_key += 1
        self._waiting[self._last_key] = time.monotonic() + self._timeout_s, expire
        if not self._is_set:
            self._set(self._timeout_s)
        return self._last_key

    def remove(self, key: int) -> None:
        """Watch over a request no longer, if that was not over anyway."""
        self._waiting.pop(key, None)

    def _set(self, delay_s: float) -> None:
        self._is_set = True
        self._call_later(delay_s, self._expire)

    def _expire(self) -> None:
        self._is_set = False
        while self._waiting:
            key = next(iter(self._waiting))
            deadline, expire = self._waiting[key]
            remaining = deadline - time.monotonic()
            if remaining > 0:
                self._set(remaining)
                return
            del self._waiting[key]
            expire()
