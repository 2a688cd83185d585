"""The two decisions about versions, as pure functions: which are aspired, and what is to be done next.

A version is *aspired* when the policy of its model wants it to be served. Which step comes next follows
TensorFlow Serving's availability-preserving policy: a version is taken down only when another one can answer.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Latest:
    """Serve the `count` highest versions."""

    count: int


@dataclass(frozen=True)
class All:
    """Serve every version on disk."""


@dataclass(frozen=True)
class Specific:
    """Serve exactly these versions."""

    versions: frozenset[int]


VersionPolicy = Latest | All | Specific
DEFAULT_POLICY: Final = Latest(1)


def aspired(policy: VersionPolicy, found: Iterable[int], failing: Collection[int] = ()) -> set[int]:
    """Return which of the versions `found` on disk are to be served.

    A version in `failing` does not count towards Latest's number, so that the next lower one stands in for
    it; it stays aspired itself, to come back when it is mended.
    """
    if isinstance(policy, All):
        return set(found)
    if isinstance(policy, Specific):
        return set(found) & policy.versions
    wanted: set[int] = set()
    good = 0
    for number in sorted(found, reverse=True):
        if good == policy.count:
            break
        wanted.add(number)
        good += number not in failing
    return wanted


class Phase(enum.Enum):
    """What the policy needs to know of a version's state."""

    NEW = "new"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    DISABLED = "disabled"
    ERROR = "error"


@dataclass(frozen=True)
class Candidate:
    """A version as the policy sees it."""

    version: int
    aspired: bool
    phase: Phase


@dataclass(frozen=True)
class Action:
    """The next step for a model."""

    do: Literal["load", "unload"]
    version: int


def next_action(candidates: Iterable[Candidate]) -> Action | None:
    """Return the one step to take now for a model with these versions, None when there is nothing to do."""
    versions = sorted(candidates, key=lambda candidate: candidate.version)
    superseded = [c.version for c in versions if c.phase is Phase.READY and not c.aspired]
    if superseded and _may_unload(versions, len(superseded)):
        return Action("unload", superseded[0])
    new = [c.version for c in versions if c.phase is Phase.NEW and c.aspired]
    return Action("load", new[-1]) if new else None


def _may_unload(versions: list[Candidate], superseded: int) -> bool:
    nothing_aspired = not any(c.aspired for c in versions)
    replaced = any(c.aspired and c.phase is Phase.READY for c in versions)
    return nothing_aspired or replaced or superseded > 1
