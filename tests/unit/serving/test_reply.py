"""Replies: the layout of rows and columns, and what JSON cannot hold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.codec import decimal, dtypes, reply
from serving.errors import ServingError


def floats(*values: Any) -> tuple[int, Any]:
    return dtypes.FLOAT, np.array(values, dtype=np.float32)


def strings(*values: bytes) -> tuple[int, Any]:
    return dtypes.STRING, np.array(values, dtype=object)


ROWS = [
    ({"y": floats(2.5, 3)}, '{\n    "predictions": [2.5, 3.0\n    ]\n}'),
    ({"y": floats([1, 2], [3, 4])}, '{\n    "predictions": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}'),
    ({"y": floats()}, '{\n    "predictions": []\n}'),
    ({"y": (1, np.zeros((2, 0), np.float32))}, '{\n    "predictions": [[], []\n    ]\n}'),
    ({"y": (1, np.zeros((1, 2, 0, 3), np.float32))}, '{\n    "predictions": [[[], []]\n    ]\n}'),
    ({"t_bytes": strings(b"a")}, '{\n    "predictions": [{\n            "b64": "YQ=="\n        }\n    ]\n}'),
    ({"t": strings(b'"\x01\n', "é/".encode())}, '{\n    "predictions": ["\\"\\u0001\\n", "é/"\n    ]\n}'),
    (
        {"a": floats([2, 4]), "b": floats(6)},
        '{\n    "predictions": [\n        {\n            "a": [2.0, 4.0],\n            "b": 6.0\n        }\n    ]\n}',
    ),
    (
        {"t_bytes": (7, np.array([[b"a"]], dtype=object)), "u": floats(1)},
        '{\n    "predictions": [\n        {\n            "t_bytes": [{\n                    "b64": "YQ=="\n'
        '                }],\n            "u": 1.0\n        }\n    ]\n}',
    ),
]

COLUMNS = [
    ({"y": floats(2.5, 3)}, '{\n    "outputs": [\n        2.5,\n        3.0\n    ]\n}'),
    ({"y": (1, np.float32(2.5).reshape(()))}, '{\n    "outputs": 2.5\n}'),
    ({"y": floats()}, '{\n    "outputs": []\n}'),
    (
        {"y": floats([1], [2])},
        '{\n    "outputs": [\n        [\n            1.0\n        ],\n        [\n            2.0\n        ]\n    ]\n}',
    ),
    (
        {"a": floats(1), "b_bytes": (7, np.array(b"a", dtype=object))},
        '{\n    "outputs": {\n        "a": [\n            1.0\n        ],\n        "b_bytes": {\n'
        '            "b64": "YQ=="\n        }\n    }\n}',
    ),
]


@pytest.mark.parametrize(("outputs", "text"), ROWS)
def test_rows(outputs: reply.Outputs, text: str) -> None:
    assert reply.predict(outputs, row_format=True).decode() == text


@pytest.mark.parametrize(("outputs", "text"), COLUMNS)
def test_columns(outputs: reply.Outputs, text: str) -> None:
    assert reply.predict(outputs, row_format=False).decode() == text


@pytest.mark.parametrize(
    ("dtype", "values", "text"),
    [
        (dtypes.BOOL, [True, False], "[true, false"),
        (dtypes.INT64, [-(2**63), 2**63 - 1], "[-9223372036854775808, 9223372036854775807"),
        (dtypes.UINT64, [2**64 - 1], "[18446744073709551615"),
        (dtypes.DOUBLE, [1 / 3, 1e300], "[0.33333333333333331, 1e+300"),
    ],
)
def test_types(dtype: int, values: list[Any], text: str) -> None:
    outputs = {"y": (dtype, np.array(values, dtype=dtypes.JSON[dtype]))}
    assert reply.predict(outputs, row_format=True).decode() == f'{{\n    "predictions": {text}\n    ]\n}}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": (1, np.float32(1).reshape(()))}, "Tensor name: y has no shape information "),
        ({"a": floats(1), "b": floats(1, 2)}, "Tensor name: b has inconsistent batch size: 2 expecting: 1"),
        ({"y": (19, np.zeros(1, np.float16))}, "Failed to write JSON value for tensor type: half"),
    ],
)
def test_errors(outputs: reply.Outputs, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        reply.predict(outputs, row_format=True)
    assert caught.value.message == message


def test_invalid_utf8_is_passed_through() -> None:
    assert b'"\xff"' in reply.predict({"t": strings(b"\xff")}, row_format=True)


@given(st.lists(st.floats(width=32), min_size=70, max_size=90))
def test_many_numbers_are_written_as_each_of_them(values: list[float]) -> None:
    outputs = {"y": (dtypes.FLOAT, np.array([values], dtype=np.float32))}
    one_by_one = ", ".join(map(decimal.float32_text, values))
    assert reply.predict(outputs, row_format=True).decode() == f'{{\n    "predictions": [[{one_by_one}]\n    ]\n}}'


def test_many_numbers_near_short_decimals_are_written_as_each_of_them() -> None:
    random = np.random.default_rng(7)
    digits, powers = random.integers(-999_999, 1_000_000, 3000), random.integers(-43, 33, 3000)
    short = np.array([float(f"{d}e{p}") for d, p in zip(digits, powers, strict=True)]).astype(np.float32)
    tens = np.array([float(f"1e{power}") for power in range(-37, 39)], np.float32)
    values = np.concatenate([short, tens])
    values = np.concatenate([values, np.nextafter(values, np.float32(0)), np.nextafter(values, np.float32(np.inf))])
    values = values[np.abs(values) >= decimal.SMALLEST_FLOAT]
    text = reply.regressions(values).decode()
    assert text == '{\n    "results": [' + ", ".join(map(decimal.float32_text, values.tolist())) + "]\n}"


def test_results_of_classify_and_regress() -> None:
    assert reply.regressions(np.array([3, 3.5], np.float32)) == b'{\n    "results": [3.0, 3.5]\n}'
    classes = [[(b"cat", 0.25), (b"", 0.75)], [(b"cat", 0.5), (b"dog", 0.5)]]
    assert reply.classifications(classes).decode() == (
        '{\n    "results": [[["cat", 0.25], ["", 0.75]], [["cat", 0.5], ["dog", 0.5]]\n    ]\n}'
    )


def test_errors_are_json() -> None:
    assert json.loads(reply.error('a "quoted"\n\x02 text')) == {"error": 'a "quoted"\n\x02 text'}
