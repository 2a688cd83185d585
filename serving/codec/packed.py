"""Numbers of a protobuf message, read and written as they are on the wire: no Python object is made for any of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_VARINT, _LENGTH = 0, 2


def read(message: Any, number: int, kind: npt.DTypeLike) -> Array:
    """The values of a repeated field of fixed width. The message loses what its type does not know."""
    message.DiscardUnknownFields()
    data = message.SerializeToString()
    at = 0
    while at < len(data):
        tag, at = decode_varint(data, at)
        length, at = decode_varint(data, at)
        if tag & 7 == _VARINT:
            continue
        if tag == _tag(number):
            # A copy, because TensorFlow wants its feeds aligned.
            return np.frombuffer(data, kind, length // np.dtype(kind).itemsize, at).copy()
        at += length
    return np.empty(0, kind)


def write(message: Any, number: int, values: Array) -> None:
    """Append `values`, which have the width of the repeated field, to it."""
    message.MergeFromString(bytes_field(number, values.tobytes()))


def bytes_field(number: int, data: bytes) -> bytes:
    """A field that holds bytes, a message, or packed numbers."""
    return encode_varint(_tag(number)) + encode_varint(len(data)) + data


def decode_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends; raises ValueError when it does not within 64 bits or `data`."""
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("no varint")


def encode_varint(value: int) -> bytes:
    """The varint of a number that is not negative."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int) -> int:
    return number << 3 | _LENGTH
