"""The one exception that the engine's layers exchange, with the canonical codes of gRPC and TensorFlow."""

from __future__ import annotations

import enum
from typing import Any


class Code(enum.IntEnum):
    """The canonical status codes, numbered as in google.rpc.Code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServingError(Exception):
    """A request or a load that failed, with the code and the text that its client is to see."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def __reduce__(self) -> tuple[type[ServingError], tuple[Code, str]]:
        return ServingError, (self.code, self.message)


def invalid(message: str) -> ServingError:
    """The error of a request that its sender must change: INVALID_ARGUMENT."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """The error of something asked for that is not there: NOT_FOUND."""
    return ServingError(Code.NOT_FOUND, message)


def too_many(limit: int) -> ServingError:
    """The error of a prediction that comes when `limit` others are queued or being made: RESOURCE_EXHAUSTED."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"{limit} predictions are queued already, the limit set by --max_queued_requests; try again later",
    )


def timed_out() -> ServingError:
    """What the real server says when the time of a request is over."""
    return ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification")


def from_tensorflow(error: Any) -> ServingError:
    """Turn a `tf.errors.OpError` into the status that TensorFlow's C++ code meant by it."""
    return ServingError(_code(error.error_code), error.message)


def _code(number: int) -> Code:
    try:
        return Code(number)
    except ValueError:
        return Code.UNKNOWN
