"""What a check of `rollout doctor` reports."""

from __future__ import annotations

import dataclasses
import enum


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about it."""

    name: str
    level: Level
    message: str
    remedy: str = ""
