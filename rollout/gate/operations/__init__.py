"""Which operations a version may hold: a list of what is allowed, and what all others of TensorFlow 2.19.1 do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from bundle.errors import UsageError
from rollout.gate.operations.allowed import ALLOWED
from rollout.gate.operations.group import Group
from rollout.gate.operations.refused import REFUSED

__all__ = ["ALLOWED", "REFUSED", "RELEASE", "Group", "is_known", "require_known", "why_not"]

RELEASE: Final = "2.19.1"

_ALLOWED: Final = frozenset(name for group in ALLOWED for name in group.names)
_REFUSED: Final = {name: group.what for group in REFUSED for name in group.names}


def why_not(name: str) -> str:
    """What the operation does that no version may do; empty when it is allowed."""
    if name in _ALLOWED:
        return ""
    unknown = f"is not in TensorFlow {RELEASE}; a library adds it, such as TF Text, that the server does not have"
    return _REFUSED.get(name, unknown)


def is_known(name: str) -> bool:
    """Whether TensorFlow has an operation of this name."""
    return name in _ALLOWED or name in _REFUSED


def require_known(names: Iterable[str]) -> None:
    """Raise UsageError for a name that no operation of TensorFlow has."""
    for name in names:
        if not is_known(name):
            near = difflib.get_close_matches(name, [*_ALLOWED, *_REFUSED], 1)
            hint = f"; is it {near[0]}?" if near else ""
            raise UsageError(f"TensorFlow {RELEASE} has no operation {name!r} that could be allowed{hint}")
