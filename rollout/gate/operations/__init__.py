"""Which operations a version may hold: a list of what is allowed, and what all others of TensorFlow 2.19.1 do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from bundle.errors import UsageError
from rollout.gate.operations.allowed import ALLOWED
from rollout.gate.operations.group import Group
from rollout.gate.operations.refused import REFUSED
from serving import extra_ops

__all__ = ["ALLOWED", "REFUSED", "RELEASE", "Group", "is_known", "require_known", "why_not"]

RELEASE: Final = "2.19.1"

_ALLOWED: Final = frozenset(name for group in ALLOWED for name in group.names)
_REFUSED: Final = {name: group.what for group in REFUSED for name in group.names}


def why_not(name: str) -> str:
    """What the operation does that no version may do; empty when it is allowed."""
    if name in _ALLOWED:
        return ""
    library = extra_ops.owner(name) or "a library"
    return _REFUSED.get(name, f"is not in TensorFlow {RELEASE}; {library} adds it, which not every server has")


def is_known(name: str) -> bool:
    """Whether TensorFlow, or a package that adds to it, has an operation of this name."""
    return name in _ALLOWED or name in _REFUSED or bool(extra_ops.owner(name))


def require_known(names: Iterable[str]) -> None:
    """Raise UsageError for a name that no known operation has."""
    for name in names:
        if not is_known(name):
            near = difflib.get_close_matches(name, [*_ALLOWED, *_REFUSED], 1)
            hint = f"; is it {near[0]}?" if near else ""
            raise UsageError(f"TensorFlow {RELEASE} has no operation {name!r} that could be allowed{hint}")
