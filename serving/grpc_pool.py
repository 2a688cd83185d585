"""The threads of gRPC calls, of which calls that send no message can take only so many, and not for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc

MOST_SILENT = 128
"""How many calls of a pool may be without a message at once; the oldest is ended when another one comes."""

_SWEEP_S = 1.0


class CallPool(futures.ThreadPoolExecutor):
    """Works on at most `threads` calls at once, and has threads besides in which calls wait for their message.

    A call has `silent_s` seconds to send its message.
    """

    def __init__(self, threads: int, name: str, silent_s: float) -> None:
        super().__init__(threads + MOST_SILENT, name)
        self.working = threading.Semaphore(threads)
        self._unfinished = 0
        self._silent_s = silent_s
        self._lock = threading.Lock()
        # The oldest comes first.
        self._silent: dict[Any, float] = {}
        self._ended = threading.Event()
        threading.Thread(target=self._sweep, name=f"{name}-silent", daemon=True).start()

    @property
    def queued(self) -> int:
        """How many calls have not ended, but for those that wait for their message."""
        return self._unfinished - len(self._silent)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Run a function in a thread."""
        self._count(1)
        try:
            future = super().submit(fn, *args, **kwargs)
        except RuntimeError:
            self._count(-1)
            raise
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def message(self, messages: Iterator[Any], context: Any) -> Any:
        """The next message of a call, or None when the call has ended, or was ended, without one."""
        self._begin(context)
        try:
            return next(messages, None)
        except grpc.RpcError:
            return None
        finally:
            with self._lock:
                self._silent.pop(context, None)

    def messages(self, messages: Iterator[Any], context: Any) -> Iterator[Any]:
        """All messages of a call; it has the same time for each of them."""
        while (message := self.message(messages, context)) is not None:
            yield message

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads."""
        self._ended.set()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _begin(self, context: Any) -> None:
        with self._lock:
            self._silent[context] = time.monotonic()
            oldest = next(iter(self._silent)) if len(self._silent) > MOST_SILENT else None
            if oldest is not None:
                del self._silent[oldest]
        if oldest is not None:
            oldest.cancel()

    def _sweep(self) -> None:
        while not self._ended.wait(_SWEEP_S):
            over = time.monotonic() - self._silent_s
            with self._lock:
                late = [context for context, since in self._silent.items() if since < over]
            for context in late:
                context.cancel()

    def _count(self, change: int) -> None:
        with self._lock:
            self._unfinished += change
