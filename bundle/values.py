"""Readers of setting values: each turns the text of a setting into a value or says what it should have been."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Reader = Callable[[str], Any]


class BadValue(ValueError):
    """The text is not a value of this kind; the message says what was expected."""


def one_of(*choices: str) -> Reader:
    """Read one of a few words."""

    def read(text: str) -> str:
        if text not in choices:
            raise BadValue(f"expected one of {', '.join(choices)}")
        return text

    return read


def text(text: str) -> str:
    """Read any text that is not empty."""
    if not text.strip():
        raise BadValue("expected a text, found nothing")
    return text


def matching(pattern: str, expected: str) -> Reader:
    """Read a text that matches `pattern` as a whole."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise BadValue(f"expected {expected}")
        return text

    return read


def whole(least: int, most: int | None = None) -> Reader:
    """Read a whole number within bounds."""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise BadValue(f"expected a whole number {bounds}") from None
        if number < least or (most is not None and number > most):
            raise BadValue(f"expected a whole number {bounds}")
        return number

    return read


def real(least: float, most: float) -> Reader:
    """Read a number from `least` to `most`, both included."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise BadValue(f"expected a number from {least:g} to {most:g}") from None
        if not least <= number <= most:
            raise BadValue(f"expected a number from {least:g} to {most:g}")
        return number

    return read


def switch(text: str) -> bool:
    """Read `true` or `false`."""
    if text.lower() not in ("true", "false"):
        raise BadValue("expected true or false")
    return text.lower() == "true"


def auto_or(reader: Reader) -> Reader:
    """Read `auto` as None, anything else with `reader`."""

    def read(text: str) -> Any:
        if text == "auto":
            return None
        try:
            return reader(text)
        except BadValue as error:
            raise BadValue(f"{error}, or auto") from None

    return read


def in_bytes(size: str) -> int:
    """Bytes of a size such as 4g or 512m, whose units are powers of 1024 as Docker's are."""
    return int(size[:-1]) << {"k": 10, "m": 20, "g": 30}[size[-1].lower()]
