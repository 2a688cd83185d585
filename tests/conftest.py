"""A test marked `alone` runs while no other test does: what it measures must not depend on what runs beside it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from bundle import files

LOCKS = Path(__file__).parent.parent / ".pytest_cache" / "alone"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with _turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def _turn(alone: bool) -> Iterator[None]:
    """Hold the lock that all processes of a test run share: by itself, or together with the other tests."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / "running").open("a") as running:
        # Everybody queues here, or new tests would overtake for ever the one that waits for all to end.
        with files.lock(LOCKS / "queue"):
            fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
