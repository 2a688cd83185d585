"""Requests that no thread waits for: how they get a thread when they need one, and what becomes of their answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from serving.errors import Code, ServingError

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Outcome = list[Array] | ServingError


class Threads(Protocol):
    """An event loop and its workers: where the parts of a request run that no thread waits for."""

    def submit(self, function: Callable[..., object], *arguments: object) -> object:
        """Run a function in a worker, when the loop has taken in what has arrived; from the loop."""

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in the loop; from any thread."""


@dataclass(frozen=True)
class Later:
    """How a request goes on: where it can get a thread, and `done`, which is given the outcome in any thread."""

    threads: Threads
    done: Callable[[Outcome], None]

    def run(self, function: Callable[..., list[Array]], *arguments: Any) -> None:
        """Call `function` in a thread, with its result or its error as the outcome."""
        self.threads.submit(self._run, function, arguments)

    def _run(self, function: Callable[..., list[Array]], arguments: tuple[Any, ...]) -> None:
        outcome: Outcome
        try:
            outcome = function(*arguments)
        except ServingError as error:
            outcome = error
        except Exception:  # noqa: BLE001 - whatever it is, the client is to get an answer
            outcome = unexpected()
        self.done(outcome)


def unexpected() -> ServingError:
    """The error that a client gets for the exception being handled, which is logged."""
    log.exception("A run failed")
    return ServingError(Code.INTERNAL, "Internal error; the server's log says more")
