"""Base64: strict about the alphabet, lenient about the rest."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.codec import b64
from serving.errors import ServingError


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("aGVsbG8=", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVsbG8.", b"hello"),
        ("aGVs\nbG8 =", b"hello"),
        ("YR==", b"a"),
        ("YQ..", b"a"),
        ("+/+/", b"\xfb\xff\xbf"),
    ],
)
def test_decodes(text: str, data: bytes) -> None:
    assert b64.decode(text) == data


@pytest.mark.parametrize(
    "text", ["a", "-_-_", "YQ=", "YQ===", "YWI==", "YW=I", "====", "YWJj=", "é", "YQ==YQ==", "Y!=="]
)
def test_refuses(text: str) -> None:
    with pytest.raises(ServingError, match="Unable to base64 decode"):
        b64.decode(text)


@given(st.binary(max_size=100))
def test_every_value_comes_back(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert b64.decode(text) == b64.decode(text.rstrip("=")) == data
