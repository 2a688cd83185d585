"""Requests that no thread waits for: they share batches with each other and with those that a thread waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from serving.batching.dynamic import DynamicRunner
from serving.batching.later import Later, Outcome
from serving.errors import Code, ServingError
from tests.unit.serving.runners import GatedRunner
from tests.unit.serving.test_batching_dynamic import ask, runner_over, waiting
from tests.waiting import until

DEADLINE_S = 10.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(10) as pool:
        yield pool


class Direct:
    """Threads without a loop."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        self._pool.submit(function, *arguments)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class Started:
    """A request that was started, and what becomes of it."""

    def __init__(self, batched: DynamicRunner, pool: ThreadPoolExecutor, value: Any, timeout_s: float | None = 20.0):
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        feeds = {"x:0": np.asarray(value, np.float32)}
        later = Later(Direct(pool), self._outcomes.put)
        self.give_up: Callable[[], None] | None = batched.start(feeds, ["y:0"], timeout_s, later)

    @property
    def is_answered(self) -> bool:
        return not self._outcomes.empty()

    def answer(self) -> list[float]:
        outcome = self._outcomes.get(timeout=DEADLINE_S)
        assert self._outcomes.empty(), "answered twice"
        if isinstance(outcome, ServingError):
            raise outcome
        answer: list[float] = np.ravel(outcome[0]).tolist()
        return answer


def test_nobody_waits(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    runner.close_gate()
    started = Started(runner_over(runner), pool, [3.0])
    assert not started.is_answered
    runner.open_gate()
    assert started.answer() == [6.0]
    assert runner.threads != [threading.get_ident()]


def test_what_is_queued_is_run_together_when_its_signature_becomes_free(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    runner.close_gate()
    started = [Started(batched, pool, [float(n)]) for n in range(1)]
    until(lambda: runner.started > 0 and len(runner.sizes) == 1)
    started += [Started(batched, pool, [float(n)]) for n in range(1, 6)]
    runner.open_gate()
    assert [one.answer() for one in started] == [[2.0 * n] for n in range(6)]
    assert runner.sizes == [1, 5]
    assert not batched._lanes._lanes


def test_both_kinds_share_a_batch_whoever_leads(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    for first_is_started in (True, False):
        runner.sizes.clear()
        runner.close_gate()
        running = pool.submit(ask, batched, [0.0])
        until(lambda: len(runner.sizes) == 1)
        if first_is_started:
            started = Started(batched, pool, [1.0])
            waits = pool.submit(ask, batched, [2.0])
        else:
            waits = pool.submit(ask, batched, [2.0])
            until(lambda: waiting(batched) == 1)
            started = Started(batched, pool, [1.0])
        until(lambda: waiting(batched) == 2)
        runner.open_gate()
        assert running.result(DEADLINE_S) == [0.0]
        assert started.answer() == [2.0]
        assert waits.result(DEADLINE_S) == [4.0]
        assert runner.sizes == [1, 2]


def test_one_bad_request_fails_alone(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    runner.close_gate()
    started = [Started(batched, pool, [value]) for value in (0.0, 1.0, -1.0, 3.0)]
    runner.open_gate()
    assert started[1].answer() == [2.0]
    with pytest.raises(ServingError, match="-1 is bad, in a batch of 1"):
        started[2].answer()
    assert started[3].answer() == [6.0]


def test_giving_up_answers_what_is_queued_and_nothing_else(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    runner.close_gate()
    running = Started(batched, pool, [1.0])
    assert running.give_up is None
    until(lambda: runner.started == 1)
    queued, other = Started(batched, pool, [2.0]), Started(batched, pool, [3.0])
    assert queued.give_up is not None and other.give_up is not None
    queued.give_up()
    with pytest.raises(ServingError) as raised:
        queued.answer()
    assert raised.value.code == Code.DEADLINE_EXCEEDED
    runner.open_gate()
    assert other.answer() == [6.0]
    other.give_up()
    assert running.answer() == [2.0]
    assert not other.is_answered


def test_what_cannot_be_stacked_runs_by_itself(pool: ThreadPoolExecutor) -> None:
    runner = GatedRunner()
    batched = DynamicRunner(runner, [])
    assert Started(batched, pool, 4.0).answer() == [8.0]
    with pytest.raises(ServingError, match="-1 is bad"):
        Started(batched, pool, [-1.0]).answer()


def test_what_nobody_expected_is_an_internal_error(pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_value: Any) -> Any:
        raise ZeroDivisionError

    batched = runner_over(GatedRunner(fail))
    for value in ([1.0], 1.0):
        with pytest.raises(ServingError) as raised:
            Started(batched, pool, value).answer()
        assert raised.value.code == Code.INTERNAL
    assert "ZeroDivisionError" in caplog.text
    assert not batched._lanes._lanes
