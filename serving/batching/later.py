"""Requests that no thread waits for: how they get a thread when they need one, and what becomes of their answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from serving.errors import Code, ServingError

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Outcome = list[Array] | ServingError


@dataclass(frozen=True)
class Later:
    """How a request goes on: `submit` runs a function in a thread, `done` is given the outcome, in any thread."""

    submit: Callable[..., object]
    done: Callable[[Outcome], None]

    def run(self, function: Callable[..., list[Array]], *arguments: Any) -> None:
        """Call `function` in a thread, with its result or its error as the outcome."""
        self.submit(self._run, function, arguments)

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
