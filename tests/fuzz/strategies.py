"""Requests of every degree of nonsense."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, predict_pb2

from tests.conformance.models import IDENTITIES

SIGNATURES = [
    "serving_default",
    "add",
    "echo_bytes",
    "strings",
    "scalar",
    "matrix",
    "image_mean",
    "total",
    "specials",
    "every_dtype",
    "fails",
    "decode",
    "__saved_model_init_op",
    "nope",
    *[f"id_{name}" for name in IDENTITIES],
]
INPUTS = ["x", "a", "b", "image", "text", "s", "m", "input_tensor", "i", "v", "image_bytes_string", "b64", "é"]
MODELS = ["kitchen", "digits", "nope", "", "k%69tchen", "kitchen/versions/2", "kitchen/labels/stable", "%00", "a:b"]

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC")
BYTES = st.one_of(st.binary(max_size=20), st.just(PNG), st.binary(max_size=9).map(lambda tail: PNG[:40] + tail))
NUMBERS = st.one_of(
    st.integers(-(2**65), 2**65),
    st.integers(-3, 3),
    st.floats(),
    st.floats(width=32, allow_nan=False),
)
B64 = BYTES.map(lambda data: {"b64": base64.b64encode(data).decode()})
LEAVES = st.one_of(NUMBERS, st.text(max_size=8), B64, st.booleans(), st.none())


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(INPUTS), inner, max_size=3))


VALUES = st.one_of(
    LEAVES,
    st.lists(st.lists(NUMBERS, min_size=2, max_size=2), max_size=4),
    st.lists(NUMBERS, max_size=5),
    st.lists(B64, max_size=3),
    st.recursive(LEAVES, _nested, max_leaves=12),
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.one_of(st.sampled_from(SIGNATURES), LEAVES),
        "instances": VALUES,
        "inputs": VALUES,
        "examples": st.one_of(VALUES, st.lists(st.dictionaries(st.sampled_from(INPUTS), VALUES, max_size=2))),
        "context": VALUES,
    },
)
TEXTS = DOCUMENTS.map(lambda document: json.dumps(document).encode())


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A document with a piece cut out, doubled, or replaced."""
    text = draw(TEXTS)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    return text[:start] + draw(st.one_of(st.binary(max_size=4), st.just(text[start:end] * 2))) + text[end:]


BODIES = st.one_of(
    TEXTS,
    TEXTS,
    _damaged(),
    st.binary(max_size=40),
    st.integers(1, 100_000).map(lambda depth: b'{"instances": ' + b"[" * depth),
)
ACTIONS = st.sampled_from([":predict", ":predict", ":classify", ":regress", "", "/metadata", ":nope", "?x=1", "/"])
PATHS = st.one_of(
    st.tuples(st.sampled_from(MODELS), ACTIONS).map(lambda parts: "/v1/models/" + "".join(parts)),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(lambda text: "/" + text),
)
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "OPTIONS", "DELETE", "PATCH"])


def with_encoding(body: bytes, compressed: bool, cut: int) -> tuple[bytes, dict[str, str]]:
    """The body and headers of a request that may be compressed, and cut off."""
    if not compressed:
        return body, {}
    return gzip.compress(body)[: -cut or None], {"Content-Encoding": "gzip"}


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    """A TensorProto, rarely a good one."""
    message = tensor_pb2.TensorProto(dtype=draw(st.integers(0, 25)))
    for size in draw(st.lists(st.one_of(st.integers(0, 3), st.integers(-2, 2**40)), max_size=4)):
        message.tensor_shape.dim.add(size=size)
    message.tensor_shape.unknown_rank = draw(st.booleans())
    message.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    message.int_val.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4)))
    message.string_val.extend(draw(st.lists(BYTES, max_size=3)))
    message.half_val.extend(draw(st.lists(st.integers(0, 2**31 - 1), max_size=3)))
    message.scomplex_val.extend(draw(st.lists(st.floats(width=32), max_size=3)))
    if draw(st.booleans()):
        message.tensor_content = draw(st.binary(max_size=16))
    return message


@st.composite
def predict_requests(draw: st.DrawFn) -> bytes:
    """A serialized PredictRequest, sometimes damaged."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = draw(st.sampled_from(["kitchen", "kitchen", "digits", "nope", ""]))
    request.model_spec.signature_name = draw(st.sampled_from(["", *SIGNATURES]))
    for name in draw(st.lists(st.sampled_from(INPUTS), max_size=3)):
        request.inputs[name].CopyFrom(draw(tensors()))
    request.output_filter.extend(draw(st.lists(st.sampled_from(["y", "sum", "w", "z"]), max_size=2)))
    data = bytes(request.SerializeToString())
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


@st.composite
def classify_requests(draw: st.DrawFn) -> bytes:
    """A serialized ClassificationRequest (and so a RegressionRequest), sometimes of random bytes."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=40))
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = draw(st.sampled_from(["kitchen", "digits", "nope"]))
    request.model_spec.signature_name = draw(st.sampled_from(["", *SIGNATURES]))
    examples = input_pb2.ExampleList()
    for value in draw(st.lists(st.floats(width=32), max_size=3)):
        examples.examples.add().features.feature["x"].float_list.value.append(value)
    request.input.example_list.CopyFrom(examples)
    return bytes(request.SerializeToString())
