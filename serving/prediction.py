"""A REST prediction: what happens to it, and two ways to go through that, in a thread that waits or in none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy.typing as npt

from serving import large, metrics, predict
from serving.batching.later import Later, Outcome, Threads
from serving.codec import reply
from serving.codec.body import PredictBody
from serving.errors import ServingError, invalid
from serving.large import LargeBody, LargePredictBody
from serving.lookup import Lease

if TYPE_CHECKING:
    from serving.servable import Servable


class RestThreads(Threads, Protocol):
    """Threads that see to the time limit of REST requests."""

    def watch(self, expire: Callable[[], None]) -> int:
        """Call `expire` when the time of a request that begins now is over; returns the key to `unwatch` it by."""

    def unwatch(self, key: int) -> None:
        """Do not call it, if it was not called before."""

    def submit_large(self, function: Callable[..., object], *arguments: object) -> object:
        """Run a function in one of the few threads for what takes long."""


class Answer(NamedTuple):
    """The tensors of an answer, which is still to be written."""

    outputs: reply.Outputs
    row_format: bool
    deadline: float | None

    def body(self) -> bytes | memoryview:
        """Write it, wherever it is; raises ServingError for what JSON cannot hold."""
        if large.is_large(self.outputs):
            return large.write_predict(self.outputs, self.row_format, self.deadline)
        return reply.predict(self.outputs, self.row_format)


Steps = Generator[predict.Call, list[npt.NDArray[Any]], Answer]
"""Gives out the run to make, takes its tensors, returns the answer."""
Result = bytes | memoryview | Exception


def steps(lease: Lease, body: bytes | LargeBody, deadline: float | None, quickly: bool = False) -> Steps:
    """What happens to a request with `body` for the version of `lease`, until `deadline` on time.monotonic().

    Raises ServingError; with `quickly`, Doubt before the run if it would take long up to there.
    """
    if isinstance(body, LargeBody):
        return (yield from _of_large(lease, body))
    request = PredictBody(body, quickly)
    with lease as handle:
        return (yield from _of_handle(handle.servable, request, deadline))


def _of_large(lease: Lease, body: LargeBody) -> Steps:
    """The version is held while the body is read for it."""
    with contextlib.ExitStack() as held:
        try:
            servable = held.enter_context(lease).servable
        except ServingError:
            body.predict({})  # What is wrong with the body is said first, as with a small one.
            raise
        types = {name: interface.input_types for name, interface in servable.interfaces.items()}
        types[""] = types.get(predict.DEFAULT_SIGNATURE, {})
        return (yield from _of_handle(servable, body.predict(types), body.deadline))


def _of_handle(servable: Servable, request: PredictBody | LargePredictBody, deadline: float | None) -> Steps:
    name = request.signature_name or predict.DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    interface = servable.interfaces[name]
    if not interface.inputs:
        raise invalid(f"Failed to get input map for signature: {request.signature_name or 'DEFAULT'}")
    tensors = request.tensors(interface.input_types)
    predict.check_method(servable, signature)
    call = predict.prepare(servable, interface, tensors)
    values = yield call
    outputs = {alias: (out.dtype, out.value) for alias, out in call.outputs(values).items()}
    return Answer(outputs, request.row_format, deadline)


def wait(taken: Steps, model: str, deadline: float | None) -> bytes | memoryview:
    """Go through the steps in this thread."""
    call = next(taken)
    try:
        with metrics.runtime(model, "Predict"):
            values = call.servable.run(call.feeds, call.fetches, large.left_s(deadline))
    except BaseException:
        taken.close()
        raise
    return _last(taken, values).body()


def start(
    taken: Steps, model: str, timeout_s: float | None, threads: RestThreads, done: Callable[[Result], None]
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
        answer = _last(taken, outcome)
        if large.is_large(answer.outputs):
            threads.submit_large(lambda: threads.call(done, _written(answer.body)))
        else:
            done(_written(lambda: reply.predict(answer.outputs, answer.row_format)))

    later = Later(threads, lambda outcome: threads.call(finish, outcome))
    give_up = call.servable.start(call.feeds, call.fetches, timeout_s, later)
    if give_up is not None and timeout_s is not None:
        limit = threads.watch(give_up)


def _written(write: Callable[[], bytes | memoryview]) -> Result:
    try:
        return write()
    except Exception as error:  # noqa: BLE001 - whoever gets it sees to it
        return error


def _last(taken: Steps, values: list[npt.NDArray[Any]]) -> Answer:
    try:
        taken.send(values)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("not reached: there is one run")
