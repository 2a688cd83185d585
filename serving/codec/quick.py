"""The quickest way, for a body that is one array: of numbers, or of data in base64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from serving.codec.encoded import Encoded
from serving.codec.envelope import Envelope
from serving.codec.fast import Doubt
from serving.codec.numbers import Numbers

Array = npt.NDArray[Any]


class Quick:
    """A body that holds one array and whose answer has rows if `row_format`."""

    def __init__(self, body: bytes) -> None:
        """Parse `body`, or raise Doubt."""
        self._envelope = Envelope(body)
        self.row_format = self._envelope.row_format
        self.signature_name = self._envelope.signature_name
        text = self._envelope.array
        self._array: Numbers | Encoded = Encoded(text) if self._envelope.holds_b64 else Numbers(text)

    def tensors(self, inputs: Mapping[str, int]) -> dict[str, Array]:
        """The tensor of the only one of `inputs` (alias to DataType number), or Doubt."""
        if len(inputs) != 1:
            raise Doubt
        ((name, dtype),) = inputs.items()
        if not self._envelope.is_for(name):
            raise Doubt
        return {name: self._array.tensor(dtype)}
