"""The three ways through a request body must lead to the same tensors and the same words."""

from __future__ import annotations

import base64
import json
import math
import os
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.codec import dtypes, fast
from serving.codec.body import PredictBody
from serving.errors import ServingError

TYPES = [*dtypes.JSON, dtypes.STRING, 19]

number_tokens = st.one_of(
    st.integers(-300, 300).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [
            "-0",
            "-0.0",
            "1e5",
            "1E-7",
            "0.1e1",
            "1e40",
            "1e-45",
            "1.1754943e-38",
            "2147483648",
            "18446744073709551616",
            "NaN",
            "-Infinity",
        ]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
texts = st.one_of(st.text(max_size=5), st.sampled_from(["\ud800", "a\x00b", "é\x7f"])).map(json.dumps)
base64s = st.binary(max_size=7).map(lambda data: base64.b64encode(data).decode())
b64_objects = st.one_of(base64s, st.sampled_from(["a", "YQ", "YQ==", "Y Q=="])).map(lambda text: f'{{"b64": "{text}"}}')
leaves = st.one_of(number_tokens, texts, b64_objects, st.sampled_from(["true", "false", "null"]))


def lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, max_size=4).map(lambda items: "[" + ", ".join(items) + "]")


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = st.sampled_from(["x", "y", "b64", "z"])
    members = st.lists(st.tuples(keys, inner), max_size=3)
    return members.map(lambda pairs: "{" + ", ".join(f'"{key}": {value}' for key, value in pairs) + "}")


same_kind = st.one_of(*[lists(lists(kind)) for kind in (number_tokens, texts, b64_objects)], lists(number_tokens))
values = st.one_of(
    leaves, same_kind, st.recursive(leaves, lambda inner: st.one_of(lists(inner), objects(inner)), max_leaves=8)
)
rows = st.one_of(lists(values), lists(objects(same_kind)), same_kind, values)
bodies = st.tuples(st.sampled_from(["instances", "inputs"]), rows, st.sampled_from(["", " ", "x"])).map(
    lambda parts: f'{{"{parts[0]}": {parts[1]}}}{parts[2]}'
)


def outcome(body: bytes, inputs: dict[str, int]) -> Any:
    try:
        tensors = PredictBody(body).tensors(inputs)
    except ServingError as error:
        return error.code, error.message
    return {name: (value.dtype, value.shape, _bits(value)) for name, value in tensors.items()}


def _bits(value: Any) -> Any:
    return value.tolist() if value.dtype == object else value.tobytes()


@settings(max_examples=int(os.environ.get("BODY_EXAMPLES", "600")), deadline=None)
@given(bodies, st.sampled_from(TYPES), st.booleans())
def test_all_ways_agree(body: str, dtype: int, two_inputs: bool) -> None:
    data = body.encode("utf-8", "surrogatepass")
    inputs = {"x": dtype, "y": dtypes.FLOAT} if two_inputs else {"x": dtype}
    usual = outcome(data, inputs)
    with mock.patch("serving.codec.body.Quick", side_effect=fast.Doubt):
        fast_only = outcome(data, inputs)
        with mock.patch.object(fast, "parse", side_effect=fast.Doubt):
            exact = outcome(data, inputs)
    assert usual == exact
    assert fast_only == exact


@pytest.mark.parametrize(
    ("dtype", "rows"),
    [
        (dtypes.FLOAT, "[1, 2.5, 3]"),
        (dtypes.FLOAT, "[[0.1, 0.2], [0.10000000149011612, 1e-5]]"),
        (dtypes.DOUBLE, "[[0.1], [3]]"),
        (dtypes.INT32, "[1, 2]"),
        (dtypes.UINT64, "[18446744073709551615]"),
        (dtypes.BOOL, "[[true], [false]]"),
        (dtypes.STRING, '["a", {"b64": "YQ=="}]'),
        (dtypes.STRING, '[{"x": {"b64": "YQ=="}}, {"x": "b"}]'),
        (dtypes.FLOAT, '[{"x": [1.0, 2.0]}, {"x": [3.0, 4.5]}]'),
    ],
)
def test_everyday_bodies_take_the_fast_way(dtype: int, rows: str) -> None:
    body = f'{{"signature_name": "s", "instances": {rows}}}'.encode()
    with mock.patch("serving.codec.body.parse", side_effect=AssertionError("went the exact way")):
        assert PredictBody(body).tensors({"x": dtype})["x"].size


def test_deep_nesting_is_an_error_and_no_more() -> None:
    deep = b"[" * 900 + b"]" * 900
    assert PredictBody(b'{"instances": [1], "other": ' + deep + b"}").tensors({"x": dtypes.INT32})["x"].tolist() == [1]
    with pytest.raises(ServingError, match="tensor parsing error: x"):
        PredictBody(b'{"instances": ' + deep + b"}").tensors({"x": dtypes.INT32})
    with pytest.raises(ServingError, match="more than 1000 deep"):
        PredictBody(b'{"instances": [1], "other": ' + b"[" * 500_000 + b"]" * 500_000 + b"}")


def test_small_types_wrap_as_protos_do() -> None:
    body = PredictBody(b'{"instances": [300, -1]}')
    assert body.tensors({"x": dtypes.UINT8})["x"].tolist() == [44, 255]


def test_duplicate_keys_append_and_the_first_shape_counts() -> None:
    body = PredictBody(b'{"instances": [{"x": 1, "x": 2}, {"x": 3}]}')
    assert body.tensors({"x": dtypes.INT32})["x"].tolist() == [1, 2]


def test_the_shape_of_the_column_format_is_taken_as_it_is() -> None:
    body = PredictBody(b'{"inputs": 5}')
    assert body.tensors({"x": dtypes.FLOAT})["x"].shape == ()
    assert not body.row_format


@pytest.mark.parametrize("text", ["NaN", "-NaN", "Inf", "-Infinity", "1e40", "-1e40"])
def test_floats_that_are_not_finite(text: str) -> None:
    (value,) = PredictBody(f'{{"instances": [{text}]}}'.encode()).tensors({"x": dtypes.FLOAT})["x"].tolist()
    assert math.isnan(value) if "NaN" in text else value == (-math.inf if text.startswith("-") else math.inf)


def test_denormals_are_flushed() -> None:
    values = PredictBody(b'{"instances": [1e-45, -1e-40, 1.17549435e-38]}').tensors({"x": dtypes.FLOAT})["x"]
    assert values.tolist() == [0.0, 0.0, float(np.float32(1.17549435e-38))]
    assert np.signbit(values).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [[1], [2, 3]]}',
        b'{"instances": [null]}',
        b'{"instances": 1}',
        b'{"instances": [',
        b'{"a": 1, "a": 2}',
    ],
)
def test_what_needs_the_exact_way_is_not_parsed_when_it_is_to_be_quick(body: bytes) -> None:
    with pytest.raises(fast.Doubt):
        PredictBody(body, quickly=True).tensors({"x": dtypes.FLOAT})
    with pytest.raises(ServingError):
        PredictBody(body).tensors({"x": dtypes.FLOAT})


@pytest.mark.parametrize("key", ["instances", "inputs"])
@pytest.mark.parametrize("dtype", sorted(dtypes.JSON))
def test_empty_lists_are_read_alike_by_the_quick_and_the_exact_way(key: str, dtype: int) -> None:
    quick = PredictBody(f'{{"{key}": [[], [], []]}}'.encode()).tensors({"x": dtype})["x"]
    exact = PredictBody(f'{{"{key}": [[], [], []], "a": 1, "a": 1}}'.encode()).tensors({"x": dtype})["x"]
    assert (quick.shape, quick.dtype) == (exact.shape, exact.dtype) == ((3, 0), exact.dtype)
