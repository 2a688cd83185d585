"""The quickest way, for a list of encoded images or other data in base64: each is looked at by C only, and once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import b64, dtypes
from serving.codec.envelope import BLANKS
from serving.codec.fast import Doubt

Array = npt.NDArray[Any]


# A few thousand encoded images are taken apart by one call of C within milliseconds.
_MOST_VALUES = 4096


class Encoded:
    """A list of objects `{"b64": "..."}`."""

    def __init__(self, text: bytes) -> None:
        """Decode the text of a list, or raise Doubt."""
        if text.count(b'"') > 4 * _MOST_VALUES:
            raise Doubt
        between, keys, values = _parts(text)
        count = len(values)
        structure = b'"'.join(between).translate(None, BLANKS)
        if keys != [b"b64"] * count or structure != b"[{" + b'":"},{'.join([b""] * count) + b'":"}]':
            raise Doubt
        self._values = list(map(_decoded, values))

    def tensor(self, dtype: int) -> Array:
        """The list as a tensor of a DataType, or Doubt."""
        if dtype != dtypes.STRING:
            raise Doubt
        tensor = np.empty(len(self._values), dtype=object)
        tensor[:] = self._values
        return tensor


def _parts(text: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """What is outside of strings, and of these every other one: the keys, and the values."""
    parts = text.split(b'"')
    return parts[::2], parts[1::4], parts[3::4]


def _decoded(value: bytes) -> bytes:
    data = b64.decode_clean(value)
    if data is None:
        raise Doubt
    return data
