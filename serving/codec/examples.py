"""tf.Examples: from the JSON of classify and regress, and from gRPC's Input to what a graph is fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import decimal
from serving.codec.body import parse_object, signature_name
from serving.codec.debug import describe, kind
from serving.codec.escape import encode
from serving.codec.exact import decode_b64, is_b64
from serving.codec.parser import ABSENT, Members
from serving.errors import ServingError, invalid

Array = npt.NDArray[Any]
_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def from_json(body: bytes) -> tuple[str, Any]:
    """Return the signature name and the `Input` proto in the body of a classify or regress request."""
    from tensorflow_serving.apis import input_pb2

    root = parse_object(body)
    name = signature_name(root)
    request = input_pb2.Input()
    context = root.first("context")
    if context is not ABSENT:
        _fill_example(context, request.example_list_with_context.context)
    rows = root.first("examples")
    if rows is ABSENT:
        raise _format_error(root, "When method is classify, key 'examples' is expected and was not found")
    if not isinstance(rows, list) or isinstance(rows, Members):
        raise _format_error(root, "Expecting 'examples' value to be an list/array")
    if not rows:
        raise _format_error(root, "'examples' value is an empty array")
    target = request.example_list if context is ABSENT else request.example_list_with_context
    for row in rows:
        _fill_example(row, target.examples.add())
    return name, request


def serialized(request: Any) -> Array:
    """The serialized tf.Examples of an `Input`, each with its context merged in: an object array [n]."""
    which = request.WhichOneof("kind")
    if which == "example_list":
        examples = [example.SerializeToString() for example in request.example_list.examples]
    elif which == "example_list_with_context":
        # Concatenating serialized messages merges them; a feature of the example replaces the context's.
        context = request.example_list_with_context.context.SerializeToString()
        examples = [context + example.SerializeToString() for example in request.example_list_with_context.examples]
    else:
        examples = []
    if not examples:
        raise invalid("Input is empty.")
    array = np.empty(len(examples), dtype=object)
    array[:] = examples
    return array


def _format_error(root: Members, text: str) -> ServingError:
    return invalid(f"JSON Value: {describe(root)} {text}")


def _fill_example(value: Any, example: Any) -> None:
    from tensorflow.core.example import feature_pb2

    if not isinstance(value, Members):
        raise invalid(f"Example must be JSON object but got JSON {kind(value)}")
    for key, content in value:
        name = key.partition("\0")[0]
        feature = feature_pb2.Feature()
        is_list = isinstance(content, list) and not isinstance(content, Members)
        for item in content if is_list else (content,):
            _add(item, name, feature)
        try:
            example.features.feature[name].CopyFrom(feature)
        except UnicodeEncodeError:
            raise invalid(f"Feature name is not valid UTF-8: {name}") from None


def _add(value: Any, name: str, feature: Any) -> None:
    if isinstance(value, str):
        _list(feature, "bytes_list", name).append(encode(value))
    elif isinstance(value, bool):
        _list(feature, "int64_list", name).append(int(value))
    elif is_b64(value):
        _list(feature, "bytes_list", name).append(decode_b64(value))
    elif value is None or isinstance(value, list):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")
    elif isinstance(value, float):
        _list(feature, "float_list", name).append(float(decimal.to_float32(np.array(value))))
    else:
        values = _list(feature, "int64_list", name)
        if value >= 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        values.append(value)


def _list(feature: Any, wanted: str, name: str) -> Any:
    present = feature.WhichOneof("kind")
    if present not in (None, wanted):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[present]}")
    return getattr(feature, wanted).value
