"""A REST prediction: what happens to it, and two ways to go through that, in a thread that waits or in none."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy.typing as npt

from serving import metrics, predict
from serving.batching.later import Later, Outcome, Threads
from serving.codec import reply
from serving.codec.body import PredictBody
from serving.errors import ServingError, invalid
from serving.lookup import Lease

Steps = Generator[predict.Call, list[npt.NDArray[Any]], bytes]
"""Gives out the run to make, takes its tensors, returns the reply's body."""


class RestThreads(Threads, Protocol):
    """Threads that see to the time limit of REST requests."""

    def watch(self, expire: Callable[[], None]) -> int:
        """Call `expire` when the time of a request that begins now is over; returns the key to `unwatch` it by."""

    def unwatch(self, key: int) -> None:
        """Do not call it, if it was not called before."""


def steps(lease: Lease, body: bytes, quickly: bool = False) -> Steps:
    """What happens to a request with `body` for the version of `lease`.

    Raises ServingError; with `quickly`, Doubt before the run if it would take long up to there.
    """
    request = PredictBody(body, quickly)
    with lease as handle:
        name = request.signature_name or predict.DEFAULT_SIGNATURE
        signature = handle.servable.signatures.get(name)
        if signature is None:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        interface = handle.servable.interfaces[name]
        if not interface.inputs:
            raise invalid(f"Failed to get input map for signature: {request.signature_name or 'DEFAULT'}")
        tensors = request.tensors(interface.input_types)
        predict.check_method(handle.servable, signature)
        call = predict.prepare(handle.servable, interface, tensors)
        values = yield call
        outputs = call.outputs(values)
        return reply.predict({alias: (out.dtype, out.value) for alias, out in outputs.items()}, request.row_format)


def wait(taken: Steps, model: str, timeout_s: float | None) -> bytes:
    """Go through the steps in this thread."""
    call = next(taken)
    try:
        with metrics.runtime(model, "Predict"):
            values = call.servable.run(call.feeds, call.fetches, timeout_s)
    except BaseException:
        taken.close()
        raise
    return _last(taken, values)


def start(
    taken: Steps, model: str, timeout_s: float | None, threads: RestThreads, done: Callable[[bytes | Exception], None]
) -> None:
    """Go through the steps in the event loop, in which this is called; the run is made in a worker.

    What fails before the run is raised; `done` gets the rest, in the loop.
    """
    call = next(taken)
    started = time.perf_counter()

    limit: int | None = None

    def finish(outcome: Outcome) -> None:
        if limit is not None:
            threads.unwatch(limit)
        if isinstance(outcome, ServingError):
            taken.close()
            done(outcome)
            return
        metrics.ran(model, "Predict", time.perf_counter() - started)
        try:
            body = _last(taken, outcome)
        except Exception as error:  # noqa: BLE001 - `done` sees to it
            done(error)
        else:
            done(body)

    later = Later(threads, lambda outcome: threads.call(finish, outcome))
    give_up = call.servable.start(call.feeds, call.fetches, timeout_s, later)
    if give_up is not None and timeout_s is not None:
        limit = threads.watch(give_up)


def _last(taken: Steps, values: list[npt.NDArray[Any]]) -> bytes:
    try:
        taken.send(values)
    except StopIteration as end:
        body: bytes = end.value
        return body
    raise AssertionError("not reached: there is one run")
