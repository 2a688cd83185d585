"""Waiting for what another thread or process does: as short as can be, with an end that only a hang reaches."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

DEADLINE_S = 60.0
_PAUSE_S = 0.005


def until(condition: Callable[[], object], what: str = "", deadline_s: float = DEADLINE_S) -> None:
    """Return once `condition` holds; fail the test, saying for `what` it waited, when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s:g} s in vain {what}".rstrip())
        time.sleep(_PAUSE_S)
