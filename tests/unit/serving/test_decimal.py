"""Reading and printing numbers: recorded pairs, and what must hold for every number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.codec import decimal

# What the real server answered when these were echoed as float64: its reading is not the nearest double.
READ = [
    ("-6.4469916241883346e+140", "-6.4469916241883337e+140"),
    ("996185.9586453463", "996185.95864534646"),
    ("69248733663144372217", "6.9248733663144378e+19"),
    ("-4.678943574613412", "-4.6789435746134123"),
    ("0.3333333333333333", "0.33333333333333331"),
    ("5394617335808.0", "5394617335808.0"),
    ("-8120283208221853687", "-8.1202832082218537e+18"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("5e-324", "0.0"),
    ("-0.0", "-0.0"),
    ("1e5", "100000.0"),
    ("1e16", "1e+16"),
]

FLOATS = [
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (2.5, "2.5"),
    (1e6, "1e+06"),
    (1234567.0, "1234567.0"),
    (16777216.0, "16777216.0"),
    (8388610.0, "8.38861e+06"),
    (0.1, "0.1"),
    (1 / 3, "0.333333343"),
    (3.14159274, "3.14159274"),
    (1234567890.0, "1.23456794e+09"),
    (1e-5, "1e-05"),
    (1e-45, "0.0"),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
]

MESSAGES = [
    (1000.0, "1000.0"),
    (1e21, "1e21"),
    (1e20, "100000000000000000000.0"),
    (0.0000015, "0.0000015"),
    (1e-7, "1e-7"),
    (1.5e-7, "1.5e-7"),
    (123456789.123, "123456789.123"),
    (2.0**64, "18446744073709553000.0"),
    (-0.0, "-0.0"),
    (5e-324, "5e-324"),
    (1.7976931348623157e308, "1.7976931348623157e308"),
]


@pytest.mark.parametrize(("token", "answer"), READ)
def test_reads_as_the_real_server(token: str, answer: str) -> None:
    assert decimal.float64_text(float(decimal.read_number(token))) == answer


@pytest.mark.parametrize(("value", "text"), FLOATS)
def test_prints_float32(value: float, text: str) -> None:
    assert decimal.float32_text(float(np.float32(value))) == text


@pytest.mark.parametrize(("value", "text"), MESSAGES)
def test_prints_doubles_in_messages(value: float, text: str) -> None:
    assert decimal.grisu(value) == text


@pytest.mark.parametrize("token", ["1e309", "-1e309", "9" * 310, "1" + "0" * 320 + ".5"])
def test_too_big(token: str) -> None:
    with pytest.raises(decimal.TooBig):
        decimal.read_number(token)


@pytest.mark.parametrize("token", ["1e-400", "0e999999999", "0.0e-5", "1e-99999999999999"])
def test_underflow_is_zero(token: str) -> None:
    if "e9" in token:
        with pytest.raises(decimal.TooBig):
            decimal.read_number(token)
    else:
        assert decimal.read_number(token) == 0


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_of_64_bits_are_exact(value: int) -> None:
    read = decimal.read_number(str(value))
    assert isinstance(read, int)
    assert read == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_reading_is_close_to_the_nearest_double(value: float) -> None:
    read = float(decimal.read_number(repr(value)))
    assert read == pytest.approx(value, rel=1e-15, abs=2.3e-308)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_texts_read_back(value: float) -> None:
    assert float(decimal.grisu(value)) == value
    if value == 0 or abs(value) >= decimal.SMALLEST_DOUBLE:
        assert float(decimal.float64_text(value)) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_texts_read_back(value: float) -> None:
    if value == 0 or abs(value) >= decimal.SMALLEST_FLOAT:
        assert float(np.float32(decimal.float32_text(value))) == value
