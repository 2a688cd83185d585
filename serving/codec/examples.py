"""tf.Examples: from the JSON of classify and regress, and from gRPC's Input to what a graph is fed.

Those of JSON are written as protobuf messages here: TensorFlow's classes for them come with all of TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import decimal
from serving.codec.body import parse_object, signature_name
from serving.codec.debug import describe, kind
from serving.codec.escape import encode
from serving.codec.exact import decode_b64, is_b64
from serving.codec.packed import bytes_field, encode_varint
from serving.codec.parser import ABSENT, Members
from serving.errors import ServingError, invalid

Array = npt.NDArray[Any]
# The fields of the message Feature; each holds a message whose only field has the values.
_KINDS = {"bytes": 1, "float": 2, "int64": 3}


def from_json(body: bytes) -> tuple[str, Array]:
    """Return the signature name and the serialized tf.Examples [n] in the body of a classify or regress request."""
    root = parse_object(body)
    name = signature_name(root)
    context = root.first("context")
    # Concatenating serialized messages merges them; a feature of the example replaces the context's.
    shared = b"" if context is ABSENT else _example(context)
    rows = root.first("examples")
    if rows is ABSENT:
        raise _format_error(root, "When method is classify, key 'examples' is expected and was not found")
    if not isinstance(rows, list) or isinstance(rows, Members):
        raise _format_error(root, "Expecting 'examples' value to be an list/array")
    if not rows:
        raise _format_error(root, "'examples' value is an empty array")
    return name, _array([shared + _example(row) for row in rows])


def serialized(request: Any) -> Array:
    """The serialized tf.Examples of an `Input` message, each with its context merged in: an object array [n].

    What `from_json` made is given back as it is.
    """
    if isinstance(request, np.ndarray):
        return request
    which = request.WhichOneof("kind")
    if which == "example_list":
        examples = [example.SerializeToString() for example in request.example_list.examples]
    elif which == "example_list_with_context":
        context = request.example_list_with_context.context.SerializeToString()
        examples = [context + example.SerializeToString() for example in request.example_list_with_context.examples]
    else:
        examples = []
    if not examples:
        raise invalid("Input is empty.")
    return _array(examples)


def _array(examples: list[bytes]) -> Array:
    array = np.empty(len(examples), dtype=object)
    array[:] = examples
    return array


def _format_error(root: Members, text: str) -> ServingError:
    return invalid(f"JSON Value: {describe(root)} {text}")


def _example(value: Any) -> bytes:
    """The message Example of a JSON object."""
    if not isinstance(value, Members):
        raise invalid(f"Example must be JSON object but got JSON {kind(value)}")
    features: dict[bytes, bytes] = {}
    for key, content in value:
        name = key.partition("\0")[0]
        feature = _Feature(name)
        is_list = isinstance(content, list) and not isinstance(content, Members)
        for item in content if is_list else (content,):
            feature.add(item)
        try:
            features[name.encode()] = feature.message()
        except UnicodeEncodeError:
            raise invalid(f"Feature name is not valid UTF-8: {name}") from None
    entries = (bytes_field(1, bytes_field(1, name) + bytes_field(2, feature)) for name, feature in features.items())
    return bytes_field(1, b"".join(entries))


@dataclass
class _Feature:
    """The values of one feature, which are all of one kind, as they are on the wire."""

    name: str
    kind: str = ""
    values: list[bytes] = field(default_factory=list)

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self._append("bytes", bytes_field(1, encode(value)))
        elif isinstance(value, bool):
            self._append("int64", encode_varint(value))
        elif is_b64(value):
            self._append("bytes", bytes_field(1, decode_b64(value)))
        elif value is None or isinstance(value, list):
            raise invalid(f"Feature: {self.name} has element with unexpected JSON type: {kind(value)}")
        elif isinstance(value, float):
            self._append("float", decimal.to_float32(np.array(value)).tobytes())
        else:
            self._append("int64", encode_varint(value % 2**64))
            if value >= 2**63:
                raise invalid(f"Feature: {self.name} has uint64_t element. Only int64_t is supported.")

    def message(self) -> bytes:
        """The message Feature."""
        if not self.kind:
            return b""
        values = b"".join(self.values)
        return bytes_field(_KINDS[self.kind], values if self.kind == "bytes" else bytes_field(1, values))

    def _append(self, wanted: str, value: bytes) -> None:
        if self.kind not in ("", wanted):
            raise invalid(f"Unexpected element type in feature: {self.name} expecting type: {self.kind}")
        self.kind = wanted
        self.values.append(value)
