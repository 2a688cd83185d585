"""Many requests with one time limit: each expires in time, and with one timer for all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from serving import limits
from serving.limits import Limits


class Clock:
    """A loop's timers, on a clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay_s: float, function: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_s, function))

    def pass_to(self, moment: float) -> None:
        """Move the clock, calling what is due on the way."""
        while due := [timer for timer in self.timers if timer[0] <= moment]:
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    return clock


def test_each_expires_in_its_own_time_and_those_removed_do_not(clock: Clock) -> None:
    expired: list[tuple[str, float]] = []
    watched = Limits(clock.call_later, 10.0)
    keys = {}
    for moment, name in ((100.0, "a"), (103.0, "b"), (104.0, "c"), (112.0, "d")):
        clock.pass_to(moment)
        keys[name] = watched.add(lambda name=name: expired.append((name, clock.now)))  # type: ignore[misc]
        assert len(clock.timers) == 1
        if name == "c":
            watched.remove(keys["b"])
    clock.pass_to(200.0)
    assert expired == [("a", 110.0), ("c", 114.0), ("d", 122.0)]
    assert not clock.timers
    watched.remove(keys["a"])  # which is over: nothing happens


def test_a_timer_is_set_again_after_a_pause(clock: Clock) -> None:
    expired: list[float] = []
    watched = Limits(clock.call_later, 1.0)
    watched.remove(watched.add(lambda: expired.append(clock.now)))
    clock.pass_to(150.0)
    assert not clock.timers
    watched.add(lambda: expired.append(clock.now))
    clock.pass_to(160.0)
    assert expired == [151.0]
