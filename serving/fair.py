"""Threads and permits that clients share: whoever has much to be done waits for itself, not the others for it."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from functools import partial

log = logging.getLogger(__name__)


Call = Callable[[], object]


class Turns:
    """Calls that wait: of each client in its order, and of all clients in turn. Not for several threads at once."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Call]] = {}
        self._clients: deque[Hashable] = deque()

    def put(self, client: Hashable, call: Call) -> None:
        """Have a call of a client wait."""
        waiting = self._waiting.get(client)
        if waiting is None:
            self._waiting[client] = deque((call,))
            self._clients.append(client)
        else:
            waiting.append(call)

    def take(self) -> Call | None:
        """The next call, which waits no longer; None when there is none."""
        if not self._clients:
            return None
        client = self._clients.popleft()
        waiting = self._waiting[client]
        call = waiting.popleft()
        if waiting:
            self._clients.append(client)
        else:
            del self._waiting[client]
        return call

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._clients.clear()


class FairPool:
    """Runs functions in up to `threads` threads, of each client in its order, and of all clients in turn.

    Of one client at most `of_one` at a time, if that is given: the others find threads, and CPUs that fewer share.
    """

    def __init__(self, threads: int, name: str, of_one: int | None = None) -> None:
        self._most = threads
        self._name = name
        self._of_one = of_one or sys.maxsize
        # How many functions of a client wait for their turn or are running, and those that come beyond `of_one`.
        self._admitted: defaultdict[Hashable, int] = defaultdict(int)
        self._behind: dict[Hashable, deque[Call]] = {}
        # Threads, those of them that are running a function, and functions that wait for one.
        self._started = self._busy = self._pending = 0
        self._lock = threading.Lock()
        self._turns = Turns()
        # One entry for each function that has its turn, True; or None, for a thread to end.
        self._bell: queue.SimpleQueue[bool | None] = queue.SimpleQueue()

    def submit(self, client: Hashable, function: Callable[..., object], *arguments: object) -> None:
        """Run a function, which is to raise nothing, for a client."""
        call = partial(function, *arguments)
        with self._lock:
            if self._admitted[client] < self._of_one:
                self._admitted[client] += 1
                self._admit(client, call)
            else:
                self._behind.setdefault(client, deque()).append(call)

    def _admit(self, client: Hashable, call: Call) -> None:
        self._turns.put(client, partial(self._run, client, call))
        self._pending += 1
        if self._pending > self._started - self._busy and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}_{self._started}", daemon=True).start()
        self._bell.put(True)

    def _run(self, client: Hashable, call: Call) -> None:
        try:
            call()
        except Exception:
            log.exception("A call in a worker failed")
        with self._lock:
            self._busy -= 1
            self._let_next(client)

    def _let_next(self, client: Hashable) -> None:
        behind = self._behind.get(client)
        if behind is not None:
            self._admit(client, behind.popleft())
            if not behind:
                del self._behind[client]
        elif self._admitted[client] == 1:
            del self._admitted[client]
        else:
            self._admitted[client] -= 1

    def shutdown(self) -> None:
        """End the threads when they have done what they are doing; what waits is not done any more."""
        with self._lock:
            self._turns.clear()
            self._behind.clear()
        for _ in range(self._started):
            self._bell.put(None)

    def _work(self) -> None:
        while self._bell.get():
            call = self._next()
            if call is None:
                return  # It was shut down.
            call()

    def _next(self) -> Call | None:
        with self._lock:
            call = self._turns.take()
            if call is not None:
                self._pending -= 1
                self._busy += 1
            return call


class FairSemaphore:
    """Permits for as many threads at once; they are given in the order in which threads ask.

    One of `threading` lets a thread that has just given a permit back take it again before those that wait.
    """

    def __init__(self, permits: int) -> None:
        self._free = permits
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout_s: float) -> bool:
        """Wait for a permit; False when there was none in time. A negative time is no limit."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        return gate.acquire(timeout=timeout_s) or not self._withdraw(gate)

    def release(self) -> None:
        """Give a permit back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def _withdraw(self, gate: threading.Lock) -> bool:
        """Whether a thread has not been given a permit at the last moment."""
        with self._lock:
            if gate not in self._waiting:
                return False
            self._waiting.remove(gate)
            return True
