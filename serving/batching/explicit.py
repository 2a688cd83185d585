"""Batching as tensorflow_model_server does it when told to: one queue per signature, one pool of threads for all."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from serving import metrics
from serving.batching import merging
from serving.batching.parameters import Parameters
from serving.batching.scheduler import Batch, Queue, Scheduler, Task
from serving.errors import Code, ServingError, invalid

if TYPE_CHECKING:
    from serving.servable import Runner

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

_FOREVER_S = 1e9


class ExplicitRunner:
    """Runs what belongs to a signature in batches, and everything else at once.

    Making one raises INVALID_ARGUMENT when the allowed batch sizes contradict the limits.
    """

    def __init__(
        self, runner: Runner, signatures: Mapping[str, Any], parameters: Parameters, scheduler: Scheduler
    ) -> None:
        parameters.check()
        self._runner = runner
        self._parameters = parameters
        self._scheduler = scheduler
        self._queues = {key: self._queue(key[1]) for key in map(_key_of, signatures.values())}
        for queue in self._queues.values():
            scheduler.register(queue)

    def run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        targets: Sequence[str],
        timeout_s: float | None,
    ) -> list[Array]:
        """Feed, run and fetch by tensor name; waits until the batch that the request is put into has run."""
        queue = self._queues.get((frozenset(feeds), frozenset(fetches))) if not targets else None
        if queue is None:
            return self._runner.run(feeds, fetches, targets, timeout_s)
        rows = merging.rows_of(feeds)
        metrics.batch_input(rows)
        if rows > self._parameters.max_batch_size:
            limit = self._parameters.max_batch_size
            raise invalid(f"Task size {rows} is larger than maximum input batch size {limit}")
        deadline = time.monotonic() + (_FOREVER_S if timeout_s is None else timeout_s)
        tasks = self._scheduler.submit(queue, lambda room: self._divide(feeds, rows, deadline, room))
        outputs = _wait(tasks)
        return [outputs[name] for name in fetches]

    def close(self) -> None:
        """Free everything; no request is running."""
        for queue in self._queues.values():
            self._scheduler.unregister(queue)
        self._runner.close()

    def _divide(self, feeds: Mapping[str, Array], rows: int, deadline: float, room: int) -> list[Task]:
        if not self._parameters.split_large_batches or rows <= room:
            return [Task(feeds, rows, deadline)]
        tasks, start, size = [], 0, room or self._parameters.max_execution_batch_size
        while start < rows:
            end = min(rows, start + size)
            tasks.append(Task({name: value[start:end] for name, value in feeds.items()}, end - start, deadline))
            start, size = end, self._parameters.max_execution_batch_size
        return tasks

    def _queue(self, fetches: frozenset[str]) -> Queue:
        names = sorted(fetches)
        return Queue(self._parameters, lambda batch: self._process(names, batch))

    def _process(self, fetches: list[str], batch: Batch) -> None:
        try:
            parts = self._run_batch(fetches, batch)
            for task, outputs in zip(batch.tasks, parts, strict=True):
                task.outputs = outputs
        except ServingError as error:
            _fail(batch, error)
        except Exception:
            log.exception("Running a batch failed")
            _fail(batch, ServingError(Code.INTERNAL, "Internal error; the server's log says more"))
        finally:
            for task in batch.tasks:
                task.done.set()

    def _run_batch(self, fetches: list[str], batch: Batch) -> list[dict[str, Array]]:
        now = time.monotonic()
        for task in batch.tasks:
            metrics.batch_queued(self._scheduler.name, now - task.enqueued)
        deadline = max(task.deadline for task in batch.tasks)
        if deadline <= now:
            raise ServingError(Code.RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
        size = self._parameters.rounded_up(batch.rows) if batch.rows else 0
        metrics.batch_processed(size, size - batch.rows)
        extra = size - batch.rows if batch.tasks[-1].rows else 0
        feeds = merging.merge([task.feeds for task in batch.tasks], extra, self._parameters.pad_variable_length_inputs)
        timeout_s = None if deadline - now > _FOREVER_S / 2 else deadline - now
        values = self._runner.run(feeds, fetches, (), timeout_s)
        metrics.batch_run()
        return merging.split(fetches, values, [task.rows for task in batch.tasks], extra)


def _key_of(signature: Any) -> tuple[frozenset[str], frozenset[str]]:
    return (
        frozenset(info.name for info in signature.inputs.values()),
        frozenset(info.name for info in signature.outputs.values()),
    )


def _wait(tasks: list[Task]) -> dict[str, Array]:
    for task in tasks:
        task.done.wait()
    for task in tasks:
        if task.error is not None:
            raise ServingError(task.error.code, task.error.message)
    if len(tasks) == 1:
        return tasks[0].outputs
    return {name: np.concatenate([task.outputs[name] for task in tasks]) for name in tasks[0].outputs}


def _fail(batch: Batch, error: ServingError) -> None:
    for task in batch.tasks:
        task.error = error
