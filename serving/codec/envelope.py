"""What surrounds the only array of an everyday body: which keys lead to it, and what follows it."""

from __future__ import annotations

import re

from serving.codec.fast import Doubt

BLANKS = b" \t\r\n"


def pattern(text: str) -> re.Pattern[bytes]:
    """Compile; a blank stands for up to 200 blanks, NAME for a short string without escapes."""
    text = text.replace(" ", r"[ \t\r\n]{0,200}").replace("NAME", r'"([ !#-\[\]-~]{0,200})"')
    return re.compile(text.encode("ascii"))


# The array begins with what tells whether it holds numbers or encoded data, so that neither is looked at in vain.
_HEAD = pattern(
    r' \{ (?:"signature_name" : NAME , )?"(instances|inputs)" : (?:(\[ )?\{ NAME : )?'
    r'(?=\[ (?:(?:\[ ){0,64}[-0-9]|(\{ "b64" :)))'
)
_TAIL = pattern(r' (?:, "signature_name" : NAME )?\} ')
_END_OF_INPUT = pattern(r" \}")
_BETWEEN_ROWS, _COLON = pattern(r"\} , \{ ").pattern, pattern(" : ").pattern


class Envelope:
    """A body taken apart: `array` is the text of its array, `holds_b64` says what that begins with.

    `row_format` says whether the answer is to have rows; `input_name` is None when the body names no input.
    """

    def __init__(self, body: bytes) -> None:
        """Take `body` apart, or raise Doubt."""
        head = _found(_HEAD.match(body))
        before, kind, in_rows, name, b64 = head.groups()
        self.row_format = kind == b"instances"
        self.holds_b64 = b64 is not None
        if name is not None and self.row_format != bool(in_rows):
            raise Doubt
        end = body.rfind(b"]") + 1
        text = body[head.end() : end]
        if in_rows:
            text = _without_names(text, name)
        elif name is not None:
            end = _found(_END_OF_INPUT.match(body, end)).end()
        after = _found(_TAIL.fullmatch(body, end))[1]
        if before is not None and after is not None:
            raise Doubt
        self.array = text
        self.signature_name: str = (before or after or b"").decode("ascii")
        self._input_name: str | None = None if name is None else name.decode("ascii")

    def is_for(self, name: str) -> bool:
        """Whether the array is meant for the only input of a signature, called `name`."""
        return self._input_name is None or self._input_name == name


def _found(match: re.Match[bytes] | None) -> re.Match[bytes]:
    if match is None:
        raise Doubt
    return match


def _without_names(text: bytes, name: bytes) -> bytes:
    """Make `[x, y]` of what follows the first name in `[{"name": x}, {"name": y}]`."""
    rows = text[:-1].rstrip(BLANKS)
    if not rows.endswith(b"}"):
        raise Doubt
    between = _BETWEEN_ROWS + re.escape(b'"' + name + b'"') + _COLON
    return b"[" + re.sub(between, b",", rows[:-1]) + b"]"
