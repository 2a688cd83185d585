"""The exact JSON parser: the real server's words and offsets, and what it lets pass."""

from __future__ import annotations

import math
from typing import Any

import pytest

from serving.codec.debug import describe
from serving.codec.parser import MAX_DEPTH, Members, parse
from serving.errors import Code, ServingError

ERRORS = [
    (b"", "The document is empty"),
    (b"   ", "The document is empty. at offset: 3"),
    (b"}", "The document is empty. at offset: 0"),
    (b"x", "Invalid value. at offset: 0"),
    (b"[", "Invalid value. at offset: 1"),
    (b"[1,]", "Invalid value. at offset: 3"),
    (b"[,1]", "Invalid value. at offset: 1"),
    (b"[tru]", "Invalid value. at offset: 4"),
    (b"[nUll]", "Invalid value. at offset: 2"),
    (b"[-]", "Invalid value. at offset: 2"),
    (b"[+1]", "Invalid value. at offset: 1"),
    (b"[.5]", "Invalid value. at offset: 1"),
    (b"[-Infinitx]", "Invalid value. at offset: 9"),
    (b"[infinity]", "Invalid value. at offset: 1"),
    (b"[01]", "Missing a comma or ']' after an array element. at offset: 2"),
    (b"[1 2]", "Missing a comma or ']' after an array element. at offset: 3"),
    (b"[1}", "Missing a comma or ']' after an array element. at offset: 2"),
    (b"[1", "Missing a comma or ']' after an array element. at offset: 2"),
    (b"[1.]", "Miss fraction part in number. at offset: 3"),
    (b"[1e]", "Miss exponent in number. at offset: 3"),
    (b"[1e+]", "Miss exponent in number. at offset: 4"),
    (b"[1, 1e309]", "Number too big to be stored in double. at offset: 4"),
    (b"[" + b"9" * 400 + b"]", "Number too big to be stored in double. at offset: 1"),
    (b"{", "Missing a name for object member. at offset: 1"),
    (b"{a: 1}", "Missing a name for object member. at offset: 1"),
    (b'{"a": 1,}', "Missing a name for object member. at offset: 8"),
    (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
    (b'{"a": }', "Invalid value. at offset: 6"),
    (b'{"a": 1 "b"}', "Missing a comma or '}' after an object member. at offset: 8"),
    (b'{"a": 1', "Missing a comma or '}' after an object member. at offset: 7"),
    (b'["abc', "Missing a closing quotation mark in string. at offset: 5"),
    (b'["a\0b"]', "Missing a closing quotation mark in string. at offset: 3"),
    (b'["a\\x"]', "Invalid escape character in string. at offset: 3"),
    (b'["a\nb"]', "Invalid escape character in string. at offset: 3"),
    (b'["\\u12G4"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
    (b'["\\ud800x"]', "The surrogate pair in string is invalid. at offset: 2"),
    (b'["\\ud800\\u0041"]', "The surrogate pair in string is invalid. at offset: 2"),
]

ACCEPTED: list[tuple[bytes, Any]] = [
    (b"[1] trailing", [1]),
    (b"[1]\0\0", [1]),
    (b"\xef\xbb\xbf[1]", [1]),
    (b"\t\r\n [ ]", []),
    (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
    (b'["\xff"]', ["\udcff"]),
    (b'["\\udc00"]', ["\udced\udcb0\udc80"]),
    (b"[-Infinity, Inf]", [-math.inf, math.inf]),
    (b"[-0, -0.0, 1e2]", [0, -0.0, 100.0]),
    (b"[18446744073709551615, 18446744073709551616]", [2**64 - 1, 2.0**64]),
    (b'{"a": 1, "a": 2}', [("a", 1), ("a", 2)]),
]


@pytest.mark.parametrize(("body", "message"), ERRORS)
def test_errors(body: bytes, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        parse(body)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.message == f"JSON Parse error: {message}"


@pytest.mark.parametrize(("body", "value"), ACCEPTED)
def test_accepted(body: bytes, value: Any) -> None:
    parsed = parse(body)
    assert parsed == value
    assert [type(item) for item in parsed] == [type(item) for item in value]


def test_minus_zero_is_an_integer_without_a_sign_unless_it_has_a_point() -> None:
    whole, real = parse(b"[-0, -0.0]")
    assert isinstance(whole, int)
    assert math.copysign(1, real) == -1


def test_nesting_is_limited() -> None:
    assert describe(parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)) == "[" * 256
    with pytest.raises(ServingError, match=f"more than {MAX_DEPTH} deep") as caught:
        parse(b'{"a":' * (MAX_DEPTH + 1))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED


def test_debug_text_breaks_lines_in_objects_only() -> None:
    value = parse(b'[{"a": [1, {}, [], "\\n"], "b": {"c": -0.0}}, null]')
    assert describe(value) == (
        '[{\n        "a": [1, {}, [], "\\n"],\n        "b": {\n            "c": -0.0\n        }\n    }, null]'
    )


def test_debug_text_ends_after_the_token_that_reaches_256_bytes() -> None:
    assert describe(["x" * 1000, 2]) == '["' + "x" * 1000 + '"'
    assert describe([1] * 1000) == "[" + ", ".join("1" * 86)


def test_debug_text_ends_at_what_is_no_number() -> None:
    assert describe(parse(b'{"a": NaN, "b": 1}')) == '{\n    "a": '


def test_an_object_keeps_its_members_in_order() -> None:
    value = parse(b'{"b": 1, "a": 2, "b": 3}')
    assert isinstance(value, Members)
    assert value.first("b") == 1
