"""Batches that close when they are full or after a time, and the threads that run them, for all models together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from serving.batching.parameters import Parameters
from serving.errors import Code, ServingError

Array = npt.NDArray[Any]


@dataclass(eq=False)
class Task:
    """A request, or a part of one, on its way through a queue."""

    feeds: Mapping[str, Array]
    rows: int
    deadline: float
    enqueued: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    outputs: dict[str, Array] = field(default_factory=dict)
    error: ServingError | None = None


class Batch:
    """Tasks that run together."""

    __slots__ = ("opened", "rows", "tasks")

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.rows = 0
        self.opened = 0.0

    def add(self, task: Task) -> None:
        """Append a task; the first one sets the time from which the batch waits."""
        if not self.tasks:
            self.opened = time.monotonic()
        self.tasks.append(task)
        self.rows += task.rows


class Queue:
    """The batches of one signature, the last of them open. Guarded by its scheduler's lock."""

    def __init__(self, parameters: Parameters, process: Callable[[Batch], None]) -> None:
        self.process = process
        self._parameters = parameters
        self._batches = deque([Batch()])

    def add(self, tasks: list[Task]) -> None:
        """Put tasks into the last batch, or new ones; raises UNAVAILABLE when there are too many."""
        largest = self._parameters.max_execution_batch_size
        more, rows = 0, self._batches[-1].rows
        for task in tasks:
            more, rows = (more + 1, task.rows) if rows + task.rows > largest else (more, rows + task.rows)
        if more and len(self._batches) + more > self._parameters.max_enqueued_batches:
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; currently"
                f" {len(self._batches)} batches enqueued and max_enqueued_batches is"
                f" {self._parameters.max_enqueued_batches}",
            )
        for task in tasks:
            if self._batches[-1].rows + task.rows > largest:
                self._batches.append(Batch())
            self._batches[-1].add(task)

    def room(self) -> int:
        """How many rows the open batch still takes."""
        return self._parameters.max_execution_batch_size - self._batches[-1].rows

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch may run, at most 0 when one may now; None when there is nothing."""
        first = self._batches[0]
        if len(self._batches) > 1:
            return 0.0
        if not first.tasks:
            return None
        if first.rows >= self._parameters.max_execution_batch_size:
            return 0.0
        return first.opened + self._parameters.batch_timeout_s - now

    def take(self) -> Batch:
        """Close the oldest batch and remove it."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(Batch())
        return batch


class Scheduler:
    """A fixed number of threads that take turns at the queues of all models."""

    def __init__(self, threads: int, name: str) -> None:
        self.name = name
        self._threads = threads
        self._changed = threading.Condition()
        self._queues: deque[Queue] = deque()
        self._started = False

    def register(self, queue: Queue) -> None:
        """Serve a queue from now on."""
        with self._changed:
            self._queues.append(queue)
            if not self._started:
                self._started = True
                for number in range(self._threads):
                    threading.Thread(target=self._work, name=f"{self.name}-{number}", daemon=True).start()

    def unregister(self, queue: Queue) -> None:
        """Forget a queue, in which there is nothing any more."""
        with self._changed:
            self._queues.remove(queue)

    def submit(self, queue: Queue, divide: Callable[[int], list[Task]]) -> list[Task]:
        """Enqueue the tasks that `divide` makes, given the room in the open batch; returns them.

        Raises UNAVAILABLE when the queue is full.
        """
        with self._changed:
            tasks = divide(queue.room())
            queue.add(tasks)
            self._changed.notify()
        return tasks

    def _work(self) -> None:
        while True:
            queue, batch = self._next()
            queue.process(batch)

    def _next(self) -> tuple[Queue, Batch]:
        with self._changed:
            while True:
                now = time.monotonic()
                waits = []
                for _ in range(len(self._queues)):
                    queue = self._queues[0]
                    self._queues.rotate(-1)
                    due = queue.due_in(now)
                    if due is not None and due <= 0:
                        self._changed.notify()  # another thread is to watch over what is left
                        return queue, queue.take()
                    if due is not None:
                        waits.append(due)
                self._changed.wait(min(waits, default=None))
