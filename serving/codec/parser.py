"""The exact JSON parser: what the real server accepts, and its words and byte offsets for what it does not.

It is iterative, so nesting costs memory but never the stack, up to MAX_DEPTH. `fast.parse` is the way for
everyday bodies.
"""

from __future__ import annotations

import math
import re
from typing import Any

from serving.codec import decimal
from serving.errors import Code, ServingError, invalid

_BLANKS = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {
    ord('"'): b'"',
    ord("\\"): b"\\",
    ord("/"): b"/",
    ord("b"): b"\b",
    ord("f"): b"\f",
    ord("n"): b"\n",
    ord("r"): b"\r",
    ord("t"): b"\t",
}
_OPENERS = b"[{"
MAX_CONTAINERS = 10_000_000
"""How many lists and objects a document may have: about a gigabyte of them. The real server has no limit."""

MAX_DEPTH = 1_000
"""How deep lists and objects may be nested. Tensors have at most 254 dimensions; the real server has no limit."""

INVALID_VALUE = "Invalid value."
NAME_MISSING = "Missing a name for object member."
COLON_MISSING = "Missing a colon after a name of object member."
MEMBER_DELIMITER_MISSING = "Missing a comma or '}' after an object member."
ELEMENT_DELIMITER_MISSING = "Missing a comma or ']' after an array element."
BAD_HEX = "Incorrect hex digit after \\u escape in string."
BAD_SURROGATE = "The surrogate pair in string is invalid."
BAD_ESCAPE = "Invalid escape character in string."
QUOTE_MISSING = "Missing a closing quotation mark in string."
NUMBER_TOO_BIG = "Number too big to be stored in double."
FRACTION_MISSING = "Miss fraction part in number."
EXPONENT_MISSING = "Miss exponent in number."
EMPTY = "The document is empty."


class Members(list[tuple[str, Any]]):
    """A JSON object as its members in the order sent, duplicates included."""

    def first(self, name: str) -> Any:
        """The value of the first member called `name`, or ABSENT."""
        return next((value for key, value in self if key == name), ABSENT)


class _Absent:
    """What `Members.first` gives for a name that is not there; null is a value."""


ABSENT = _Absent()


class _Fault(Exception):
    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text, offset)
        self.text, self.offset = text, offset


def parse(body: bytes) -> Any:
    """Return the document in `body`: None, bool, int, float, str, list or Members.

    What follows the document is ignored. Bytes that are not UTF-8 become surrogate escapes. Raises
    ServingError INVALID_ARGUMENT with the text and the offset that the real server gives.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    check_size(body)
    try:
        return _Parser(body).document()
    except _Fault as fault:
        raise invalid(f"JSON Parse error: {fault.text} at offset: {fault.offset}") from None


def check_size(body: bytes) -> None:
    """Raise ServingError RESOURCE_EXHAUSTED for a body that would take too much memory as a document."""
    if len(body) > MAX_CONTAINERS and body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"The JSON document has more than {MAX_CONTAINERS} lists and objects. Send less at once",
        )


def _too_deep() -> ServingError:
    """The error of a document that is nested too deeply."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"The JSON document has lists and objects more than {MAX_DEPTH} deep. Send less deep ones",
    )


class _Parser:
    def __init__(self, body: bytes) -> None:
        self._body = body
        end = body.find(b"\0")
        self._end = len(body) if end < 0 else end
        self._at = 0

    def document(self) -> Any:
        for byte in b"\xef\xbb\xbf":
            if self._peek() == byte:
                self._at += 1
        self._skip_blanks()
        first = self._peek()
        if first < 0 or first in b"]},:":
            raise _Fault(EMPTY, self._at)
        if first in _OPENERS:
            return self._containers()
        return self._scalar(first)

    def _containers(self) -> Any:
        """Parse a list or an object whose opener is next, keeping what is open on a list of our own."""
        root = self._open()
        stack: list[Any] = [root]
        while stack:
            top = stack[-1]
            is_object = type(top) is Members
            if self._closes(top, is_object):
                stack.pop()
                continue
            name = self._name() if is_object else ""
            byte = self._peek()
            if byte >= 0 and byte in _OPENERS:
                child: Any = self._open()
                stack.append(child)
                if len(stack) > MAX_DEPTH:
                    raise _too_deep()
            elif byte < 0 or byte in b"]},:":
                raise _Fault(INVALID_VALUE, self._at)
            else:
                child = self._scalar(byte)
            if is_object:
                top.append((name, child))
            else:
                top.append(child)
        return root

    def _open(self) -> Any:
        opener = self._body[self._at]
        self._at += 1
        return [] if opener == 0x5B else Members()

    def _closes(self, container: Any, is_object: bool) -> bool:
        """Whether `container` ends here; otherwise the position is moved to its next element or name."""
        self._skip_blanks()
        byte = self._peek()
        if byte == (0x7D if is_object else 0x5D):
            self._at += 1
            return True
        if container:
            if byte != 0x2C:
                text = MEMBER_DELIMITER_MISSING if is_object else ELEMENT_DELIMITER_MISSING
                raise _Fault(text, self._at)
            self._at += 1
            self._skip_blanks()
        return False

    def _name(self) -> str:
        if self._peek() != 0x22:
            raise _Fault(NAME_MISSING, self._at)
        name = self._string()
        self._skip_blanks()
        if self._peek() != 0x3A:
            raise _Fault(COLON_MISSING, self._at)
        self._at += 1
        self._skip_blanks()
        return name

    def _scalar(self, byte: int) -> Any:
        if byte == 0x22:
            return self._string()
        if byte == 0x74:
            return self._literal(b"true", True)
        if byte == 0x66:
            return self._literal(b"false", False)
        if byte == 0x6E:
            return self._literal(b"null", None)
        return self._number()

    def _literal(self, word: bytes, value: Any) -> Any:
        for expected in word:
            if self._peek() != expected:
                raise _Fault(INVALID_VALUE, self._at)
            self._at += 1
        return value

    def _number(self) -> int | float:
        start = self._at
        negative = self._take(0x2D)
        byte = self._peek()
        special = None
        if byte in (0x49, 0x4E):
            special = self._not_finite(negative)
        elif byte == 0x30:
            self._at += 1
        elif 0x31 <= byte <= 0x39:
            self._digits()
        else:
            raise _Fault(INVALID_VALUE, self._at)
        if self._take(0x2E) and not self._digits():
            raise _Fault(FRACTION_MISSING, self._at)
        if self._take(0x65) or self._take(0x45):
            if not self._take(0x2B):
                self._take(0x2D)
            if not self._digits():
                raise _Fault(EXPONENT_MISSING, self._at)
        if special is not None:
            return special
        try:
            return decimal.read_number(self._body[start : self._at].decode("ascii"))
        except decimal.TooBig:
            raise _Fault(NUMBER_TOO_BIG, start) from None

    def _not_finite(self, negative: bool) -> float:
        if self._peek() == 0x4E:
            self._literal(b"NaN", None)
            return math.nan
        self._literal(b"Inf", None)
        if self._peek() == 0x69:
            self._literal(b"inity", None)
        return -math.inf if negative else math.inf

    def _digits(self) -> bool:
        match = _DIGITS.match(self._body, self._at, self._end)
        start, self._at = self._at, match.end() if match else self._at
        return self._at > start

    def _string(self) -> str:
        self._at += 1
        parts: list[bytes] = []
        while True:
            match = _PLAIN.match(self._body, self._at, self._end)
            if match:
                parts.append(match.group())
                self._at = match.end()
            byte = self._peek()
            if byte == 0x22:
                self._at += 1
                return b"".join(parts).decode("utf-8", "surrogateescape")
            if byte < 0:
                raise _Fault(QUOTE_MISSING, self._at)
            if byte != 0x5C:
                raise _Fault(BAD_ESCAPE, self._at)
            parts.append(self._escape())

    def _escape(self) -> bytes:
        start = self._at
        self._at += 1
        byte = self._peek()
        if byte in _ESCAPES:
            self._at += 1
            return _ESCAPES[byte]
        if byte != 0x75:
            raise _Fault(BAD_ESCAPE, start)
        self._at += 1
        code = self._hex4(start)
        if 0xD800 <= code <= 0xDBFF:
            if not (self._take(0x5C) and self._take(0x75)):
                raise _Fault(BAD_SURROGATE, start)
            low = self._hex4(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise _Fault(BAD_SURROGATE, start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode("utf-8", "surrogatepass")

    def _hex4(self, escape_at: int) -> int:
        match = _HEX4.match(self._body, self._at, self._end)
        if match is None:
            raise _Fault(BAD_HEX, escape_at)
        self._at += 4
        return int(match.group(), 16)

    def _peek(self) -> int:
        return self._body[self._at] if self._at < self._end else -1

    def _take(self, byte: int) -> bool:
        if self._peek() != byte:
            return False
        self._at += 1
        return True

    def _skip_blanks(self) -> None:
        match = _BLANKS.match(self._body, self._at, self._end)
        if match:
            self._at = match.end()
