"""JSON string literals as the real server writes them: UTF-8 passes, control characters are escaped."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r'["\\\x00-\x1f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """Return `text` as a JSON string with its quotation marks."""
    if _SPECIAL.search(text) is None:
        return f'"{text}"'
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def encode(text: str) -> bytes:
    """The bytes of a text in which bytes that are not UTF-8 are surrogate escapes."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """The text of `data`, with bytes that are not UTF-8 as surrogate escapes: `encode` gives `data` back."""
    return data.decode("utf-8", "surrogateescape")


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    return _SHORT.get(char) or f"\\u{ord(char):04X}"
