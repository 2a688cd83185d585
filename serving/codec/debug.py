"""The text by which messages quote a JSON value: pretty-printed, and cut when 256 bytes are reached."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from serving.codec import decimal
from serving.codec.escape import quote
from serving.codec.parser import Members

_LIMIT = 256


def describe(value: Any) -> str:
    """Quote `value` (as `parser.parse` gives it), as the real server's messages do."""
    writer = _Writer()
    with contextlib.suppress(_Stop):
        _write(writer, value)
    return "".join(writer.parts)


def kind(value: Any) -> str:
    """The JSON type of `value` in the real server's words."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str):
        return "String"
    if isinstance(value, Members):
        return "Object"
    return "Array" if isinstance(value, list) else "Number"


class _Stop(Exception):
    pass


def _write(writer: _Writer, root: Any) -> None:
    """Walk without recursion: bodies nest deeper than any stack."""
    pending: list[Iterator[Any]] = [iter((root,))]
    while pending:
        item = next(pending[-1], _END)
        if item is _END:
            pending.pop()
            if writer.depth:
                writer.close()
        elif isinstance(item, _Key):
            writer.key(item.name)
        elif isinstance(item, Members):
            writer.open("{")
            pending.append(_members(item))
        elif isinstance(item, list):
            writer.open("[")
            pending.append(iter(item))
        else:
            writer.scalar(item)


_END = object()


class _Key:
    def __init__(self, name: str) -> None:
        self.name = name


def _members(members: Members) -> Iterator[Any]:
    for name, value in members:
        yield _Key(name)
        yield value


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.depth = 0
        self._size = 0
        self._open: list[str] = []
        self._counts: list[int] = []
        self._after_key = False

    def open(self, bracket: str) -> None:
        self._check()
        self._prefix()
        self._put(bracket)
        self._open.append(bracket)
        self._counts.append(0)
        self.depth += 1

    def close(self) -> None:
        self._check()
        bracket, count = self._open.pop(), self._counts.pop()
        self.depth -= 1
        if bracket == "{" and count:
            self._put("\n" + "    " * self.depth)
        self._put("}" if bracket == "{" else "]")

    def key(self, name: str) -> None:
        self._check()
        self._prefix()
        self._put(quote(name))
        self._put(": ")
        self._after_key = True

    def scalar(self, value: Any) -> None:
        self._check()
        self._prefix()
        if value is None:
            self._put("null")
        elif isinstance(value, bool):
            self._put("true" if value else "false")
        elif isinstance(value, str):
            self._put(quote(value))
        elif isinstance(value, int):
            self._put(str(value))
        elif math.isfinite(value):
            self._put(decimal.grisu(value))
        else:
            raise _Stop

    def _check(self) -> None:
        if self._size >= _LIMIT:
            raise _Stop

    def _prefix(self) -> None:
        if self._after_key:
            self._after_key = False
            return
        if not self._open:
            return
        first = self._counts[-1] == 0
        self._counts[-1] += 1
        if self._open[-1] == "[":
            self._put("" if first else ", ")
        else:
            self._put(("" if first else ",") + "\n" + "    " * self.depth)

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
