"""Names that a candidate chose, in a form that can be printed."""

from __future__ import annotations

from collections.abc import Sequence

from bundle.text import printable

_LONGEST = 120
_MOST = 5


def shown(name: str, longest: int = _LONGEST) -> str:
    """`name` with whatever could steer a terminal escaped, cut when it is longer than `longest`."""
    whole = name if len(name) <= longest else f"{name[:longest]}..."
    return printable(whole)


def listed(problems: Sequence[str]) -> str:
    """The first few of `problems`, and how many more there are."""
    more = len(problems) - _MOST
    return "; ".join(problems[:_MOST]) + (f"; and {more} more like these" if more > 0 else "")
