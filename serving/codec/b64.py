"""Base64 as the real server reads it: lenient about blanks and padding, strict about the alphabet."""

from __future__ import annotations

import binascii
import re

import pybase64

from serving.errors import ServingError, invalid

_BLANKS = re.compile(r"[ \t\n\v\f\r]+")
_SHAPE = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")


def decode(text: str) -> bytes:
    """Return the bytes of standard-alphabet base64; padding may be missing but not wrong.

    Raises ServingError INVALID_ARGUMENT `Unable to base64 decode`.
    """
    data = decode_clean(text) if text.isascii() else None
    return _decode_lenient(text) if data is None else data


def decode_clean(text: str | bytes) -> bytes | None:
    """Decode the usual form, with its padding and nothing else in it; None for any other."""
    if len(text) % 4:
        return None
    try:
        return pybase64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def _decode_lenient(text: str) -> bytes:
    match = _SHAPE.fullmatch(_BLANKS.sub("", text))
    if match is None:
        raise _undecodable()
    digits, padding = match.groups()
    missing = -len(digits) % 4
    if missing == 3 or (padding and len(padding) != missing):
        raise _undecodable()
    return binascii.a2b_base64(digits + "=" * missing)


def _undecodable() -> ServingError:
    return invalid("Unable to base64 decode")
