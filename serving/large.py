"""Large requests and answers: read and written in a process of their own, in which they hold up nobody.

What is read or written quickly is not worth the way there: an array of numbers or of encoded pictures up to
LARGEST_QUICK bytes, an everyday request up to LARGEST_SMALL, an answer up to MOST_IN_PLACE numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving import forkserver
from serving.codec import examples, gzipped, reply
from serving.codec.body import PredictBody
from serving.codec.fast import Doubt
from serving.codec.quick import Quick
from serving.errors import ServingError
from serving.message import LARGEST_SMALL

Array = npt.NDArray[Any]
InputTypes = Mapping[str, Mapping[str, int]]
"""For each signature the DataType numbers of its inputs; the default one has an empty name as well."""

MOST_IN_PLACE: Final = 16_384
LARGEST_QUICK: Final = 4 << 20
"""Up to here a body that is one array is read in place: by few calls, none of which takes long."""
_MOST_QUICK_NUMBERS: Final = 1 << 18


class LargeBody:
    """A body that nobody has looked at, compressed or not; its request is to be answered before `deadline`.

    With `quickly` it is read in place, which raises Doubt if that would take long, and does nothing then.
    """

    def __init__(self, data: bytes | bytearray, gzip: bool, timeout_s: float | None, quickly: bool = False) -> None:
        self._data = data
        self._gzip = gzip
        self.quickly = quickly
        self.deadline = deadline_of(timeout_s)

    def predict(self, inputs: InputTypes) -> LargePredictBody:
        """Read a predict request, once; raises ServingError for what does not depend on its signature."""
        if self.quickly:
            return self._quick(inputs)
        read: LargePredictBody = self._read(_read_predict, inputs)
        return read

    def examples(self) -> tuple[str, Array]:
        """Read a classify or regress request, once, as `examples.from_json` does."""
        if self.quickly:
            raise Doubt
        read: tuple[str, Array] = self._read(_read_examples)
        return read

    def _quick(self, inputs: InputTypes) -> LargePredictBody:
        if self._gzip or len(self._data) > LARGEST_QUICK:
            raise Doubt
        if len(self._data) <= LARGEST_SMALL:
            body = PredictBody(bytes(self._data), quickly=True)
            tensors = body.tensors(inputs.get(body.signature_name, {}))
            return LargePredictBody(body.signature_name, body.row_format, tensors)
        if np.count_nonzero(np.frombuffer(self._data, np.uint8) == ord(",")) > _MOST_QUICK_NUMBERS:
            raise Doubt
        read = Quick(bytes(self._data))
        tensors = read.tensors(inputs.get(read.signature_name, {}))
        return LargePredictBody(read.signature_name, read.row_format, tensors)

    def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        data, self._data = PickleBuffer(self._data), b""
        return forkserver.call(function, data, self._gzip, *arguments, deadline=self.deadline)


@dataclass(frozen=True)
class LargePredictBody:
    """A predict request that has been read; it is used as a PredictBody is.

    `error` is what a client gets unless its signature is wrong anyway.
    """

    signature_name: str
    row_format: bool
    read: dict[str, Array]
    error: ServingError | None = None

    def tensors(self, inputs: Mapping[str, int]) -> dict[str, Array]:  # noqa: ARG002 - they were known before
        """The tensors; raises ServingError."""
        if self.error is not None:
            raise self.error
        return self.read


def deadline_of(timeout_s: float | None) -> float | None:
    """The time on time.monotonic() at which a request that begins now is to be answered."""
    return None if timeout_s is None else time.monotonic() + timeout_s


def left_s(deadline: float | None) -> float | None:
    """How much time is left; None when it is not limited."""
    return None if deadline is None else max(0.001, deadline - time.monotonic())


def is_large(outputs: reply.Outputs) -> bool:
    """Whether writing an answer takes long."""
    weight = 0
    for _, value in outputs.values():
        weight += value.size
        if value.dtype.hasobject:
            weight += sum(map(len, value.reshape(-1))) // 8
    return weight > MOST_IN_PLACE


def write_predict(outputs: reply.Outputs, row_format: bool, deadline: float | None) -> memoryview:
    """The body of a predict reply, as `reply.predict` writes it."""
    written: Array = forkserver.call(_write_predict, outputs, row_format, deadline=deadline)
    return written.data


# What runs in the process of its own.


def _read_predict(data: PickleBuffer, gzip: bool, inputs: InputTypes) -> LargePredictBody:
    body = PredictBody(_content(data, gzip))
    types = inputs.get(body.signature_name)
    tensors, error = {}, None
    if types is not None:
        try:
            tensors = body.tensors(types)
        except ServingError as caught:
            error = caught
    return LargePredictBody(body.signature_name, body.row_format, tensors, error)


def _read_examples(data: PickleBuffer, gzip: bool) -> tuple[str, Array]:
    return examples.from_json(_content(data, gzip))


def _content(data: PickleBuffer, gzip: bool) -> bytes:
    body = bytes(data)
    return gzipped.inflate(body) if gzip else body


def _write_predict(outputs: reply.Outputs, row_format: bool) -> npt.NDArray[np.uint8]:
    return np.frombuffer(reply.predict(outputs, row_format), np.uint8)
