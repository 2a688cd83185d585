"""Waiting without a timer: who finds the worker free goes on at once, who comes later is taken by the next.

A request waits in its own thread, or in none: then `later` says how it goes on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, Final, Literal

import numpy.typing as npt

from serving.batching.later import Later, Outcome
from serving.errors import timed_out

Array = npt.NDArray[Any]

_LONGEST_WAIT_S: Final = threading.TIMEOUT_MAX


class Member:
    """A request that may share a batch."""

    __slots__ = ("deadline", "feeds", "gate", "later", "outcome", "rows", "state")

    def __init__(
        self, feeds: Mapping[str, Array], rows: int, timeout_s: float | None, later: Later | None = None
    ) -> None:
        self.feeds = feeds
        self.rows = rows
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.outcome: Outcome | None = None
        self.state: Literal["queued", "taken", "leads"] = "queued"
        self.later = later
        self.gate = threading.Lock()
        self.gate.acquire()

    def remaining(self) -> float | None:
        """Seconds until its time is over, 0 when it is; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def settle(self, outcome: Outcome) -> None:
        """Give the request its answer."""
        self.outcome = outcome
        if self.later is None:
            self.gate.release()
        else:
            self.later.done(outcome)


class Lane:
    """The requests that can be stacked with each other."""

    __slots__ = ("busy", "queue")

    def __init__(self) -> None:
        self.busy = 0
        self.queue: deque[Member] = deque()


class Lanes:
    """The lanes that are in use now; idle ones are forgotten, so that shapes that clients choose cost nothing."""

    def __init__(self, workers: int, most_rows: int) -> None:
        self._workers = workers
        self._most_rows = most_rows
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._lanes: dict[Hashable, Lane] = {}

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Return when nothing runs or waits, or after `timeout_s`; whether nothing does."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._lanes, timeout_s)

    def enter(self, key: Hashable, member: Member) -> list[Member]:
        """Return the batch that this thread is to run, `member` first; empty when another thread has answered it.

        Raises DEADLINE_EXCEEDED when the member's time is over before that.
        """
        if self.join(key, member):
            return [member]
        remaining = member.remaining()
        in_time = member.gate.acquire(timeout=_LONGEST_WAIT_S if remaining is None else remaining)
        # Whoever was made leader at the last moment has to lead, or nobody would.
        if not in_time and (self.withdraw(key, member) or member.state != "leads"):
            raise timed_out()
        return self.fill(key, member) if member.state == "leads" else []

    def join(self, key: Hashable, member: Member) -> bool:
        """Whether `member` may lead a batch now; otherwise it is queued, to be taken or to lead later."""
        with self._lock:
            lane = self._lanes.setdefault(key, Lane())
            if lane.busy < self._workers:
                lane.busy += 1
                return True
            lane.queue.append(member)
            return False

    def withdraw(self, key: Hashable, member: Member) -> bool:
        """Whether `member` was still queued; then it is so no more."""
        with self._lock:
            if member.state != "queued":
                return False
            self._lanes[key].queue.remove(member)
            member.state = "taken"
            return True

    def fill(self, key: Hashable, leader: Member) -> list[Member]:
        """The batch of `leader` and those behind it in the queue."""
        batch, rows = [leader], leader.rows
        with self._lock:
            lane = self._lanes[key]
            while lane.queue and rows + lane.queue[0].rows <= self._most_rows:
                member = lane.queue.popleft()
                member.state = "taken"
                rows += member.rows
                batch.append(member)
        return batch

    def leave(self, key: Hashable) -> Member | None:
        """Let the next request lead, once for each batch; returns it if it has no thread to do so."""
        with self._lock:
            lane = self._lanes[key]
            if lane.queue:
                leader = lane.queue.popleft()
                leader.state = "leads"
                if leader.later is not None:
                    return leader
                leader.gate.release()
                return None
            lane.busy -= 1
            if not lane.busy:
                del self._lanes[key]
                self._idle.notify_all()
            return None
