"""Waiting without a timer: who finds the worker free goes on at once, who comes later is taken by the next."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, Final, Literal

import numpy.typing as npt

from serving.errors import Code, ServingError

Array = npt.NDArray[Any]
Outcome = list[Array] | ServingError

_LONGEST_WAIT_S: Final = threading.TIMEOUT_MAX


class Member:
    """A request that may share a batch."""

    __slots__ = ("deadline", "feeds", "gate", "outcome", "rows", "state")

    def __init__(self, feeds: Mapping[str, Array], rows: int, timeout_s: float | None) -> None:
        self.feeds = feeds
        self.rows = rows
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.outcome: Outcome | None = None
        self.state: Literal["queued", "taken", "leads"] = "queued"
        self.gate = threading.Lock()
        self.gate.acquire()

    def remaining(self) -> float | None:
        """Seconds until its time is over, 0 when it is; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def settle(self, outcome: Outcome) -> None:
        """Give the waiting thread its answer."""
        self.outcome = outcome
        self.gate.release()


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
        self._lanes: dict[Hashable, Lane] = {}

    def enter(self, key: Hashable, member: Member) -> list[Member]:
        """Return the batch that this thread is to run, `member` first; empty when another thread has answered it.

        Raises DEADLINE_EXCEEDED when the member's time is over before that.
        """
        with self._lock:
            lane = self._lanes.setdefault(key, Lane())
            if lane.busy < self._workers:
                lane.busy += 1
                return [member]
            lane.queue.append(member)
        remaining = member.remaining()
        if not member.gate.acquire(timeout=_LONGEST_WAIT_S if remaining is None else remaining):
            self._give_up(key, lane, member)
        return self._take(lane, member) if member.state == "leads" else []

    def leave(self, key: Hashable) -> None:
        """Let the next thread in; for each time that `enter` returned a batch."""
        with self._lock:
            lane = self._lanes[key]
            if lane.queue:
                leader = lane.queue.popleft()
                leader.state = "leads"
                leader.gate.release()
                return
            lane.busy -= 1
            if not lane.busy:
                del self._lanes[key]

    def _give_up(self, key: Hashable, lane: Lane, member: Member) -> None:
        with self._lock:
            state = member.state
            if state == "queued":
                lane.queue.remove(member)
        if state == "leads":
            self.leave(key)
        raise deadline_exceeded()

    def _take(self, lane: Lane, leader: Member) -> list[Member]:
        batch, rows = [leader], leader.rows
        with self._lock:
            while lane.queue and rows + lane.queue[0].rows <= self._most_rows:
                member = lane.queue.popleft()
                member.state = "taken"
                rows += member.rows
                batch.append(member)
        return batch


def deadline_exceeded() -> ServingError:
    """What the real server says when the time of a request is over."""
    return ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")
