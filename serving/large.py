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
        read = self._read(_read_predict, inputs)
        tensors = {alias: value.array() for alias, value in read.tensors.items()}
        return LargePredictBody(read.signature_name, read.row_format, tensors, read.error)

    def examples(self) -> tuple[str, Array]:
        """Read a classify or regress request, once, as `examples.from_json` does."""
        if self.quickly:
            raise Doubt
        name, packed = self._read(_read_examples)
        return name, packed.array()

    def _quick(self, inputs: InputTypes) -> LargePredictBody:
        if self._gzip or len(self._data) > LARGEST_QUICK:
            raise Doubt
        if len(self._data) <= LARGEST_SMALL:
            body = PredictBody(bytes(self._data), quickly=True)
            tensors = body.tensors(inputs.get(body.signature_name, {}))
            return LargePredictBody(body.signature_name, body.row_format, tensors, None)
        if np.count_nonzero(np.frombuffer(self._data, np.uint8) == ord(",")) > _MOST_QUICK_NUMBERS:
            raise Doubt
        read = Quick(bytes(self._data))
        tensors = read.tensors(inputs.get(read.signature_name, {}))
        return LargePredictBody(read.signature_name, read.row_format, tensors, None)

    def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        data, self._data = PickleBuffer(self._data), b""
        return forkserver.call(function, data, self._gzip, *arguments, deadline=self.deadline)


@dataclass(frozen=True)
class LargePredictBody:
    """A predict request that has been read; it is used as a PredictBody is."""

    signature_name: str
    row_format: bool
    read: dict[str, Array]
    error: ServingError | None

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
    packed = {alias: (dtype, Packed(value)) for alias, (dtype, value) in outputs.items()}
    written: Array = forkserver.call(_write_predict, packed, row_format, deadline=deadline)
    return written.data


class Packed:
    """An array that can be sent to another process without an object being made for each of its strings."""

    def __init__(self, value: Array) -> None:
        self._shape = value.shape
        self._values = np.ascontiguousarray(value)
        self._sizes: Array | None = None
        if value.dtype == object:
            strings = value.reshape(-1).tolist()
            self._sizes = np.fromiter(map(len, strings), np.int64, len(strings))
            self._values = np.frombuffer(b"".join(strings), np.uint8)

    def array(self) -> Array:
        """The array."""
        if self._sizes is None:
            return self._values.reshape(self._shape)
        array = np.empty(self._sizes.size, object)
        data, at = self._values.data, 0
        for index, size in enumerate(self._sizes.tolist()):
            array[index] = bytes(data[at : at + size])
            at += size
        return array.reshape(self._shape)


@dataclass(frozen=True)
class _Read:
    """What a predict request holds: tensors, or the error that a client gets unless its signature is wrong anyway."""

    signature_name: str
    row_format: bool
    tensors: Mapping[str, Packed]
    error: ServingError | None


# What runs in the process of its own.


def _read_predict(data: PickleBuffer, gzip: bool, inputs: InputTypes) -> _Read:
    body = PredictBody(_content(data, gzip))
    types = inputs.get(body.signature_name)
    if types is None:
        return _Read(body.signature_name, body.row_format, {}, None)
    try:
        tensors = body.tensors(types)
    except ServingError as error:
        return _Read(body.signature_name, body.row_format, {}, error)
    return _Read(body.signature_name, body.row_format, {name: Packed(value) for name, value in tensors.items()}, None)


def _read_examples(data: PickleBuffer, gzip: bool) -> tuple[str, Packed]:
    name, serialized = examples.from_json(_content(data, gzip))
    return name, Packed(serialized)


def _content(data: PickleBuffer, gzip: bool) -> bytes:
    body = bytes(data)
    return gzipped.inflate(body) if gzip else body


def _write_predict(outputs: Mapping[str, tuple[int, Packed]], row_format: bool) -> npt.NDArray[np.uint8]:
    body = reply.predict({alias: (dtype, value.array()) for alias, (dtype, value) in outputs.items()}, row_format)
    return np.frombuffer(body, np.uint8)
