"""Base64 as the real server reads it: lenient about blanks and padding, strict about the alphabet."""

from __future__ import annotations

import binascii
import re

from serving.errors import ServingError, invalid

_BLANKS = re.compile(r"[ \t\n\v\f\r]+")
_SHAPE = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")


def decode(text: str) -> bytes:
    """Return the bytes of standard-alphabet base64; padding may be missing but not wrong.

    Raises ServingError INVALID_ARGUMENT `Unable to base64 decode`.
    """
    if len(text) % 4 == 0 and text.isascii():
        data = _decode_clean(text)
        if data is not None:
            return data
    return _decode_lenient(text)


def _decode_clean(text: str) -> bytes | None:
    """Decode the usual form in one pass of C; None when `text` has anything else in it."""
    padding = text.endswith("=") + text.endswith("==")
    try:
        data = binascii.a2b_base64(text)
    except binascii.Error:
        return None
    # a2b_base64 skips what is not in the alphabet, which leaves the result short.
    return data if len(data) == len(text) // 4 * 3 - padding else None


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
