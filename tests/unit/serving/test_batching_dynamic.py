"""Batch while busy, over a runner that can be made to wait and knows what it was given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from serving.batching.dynamic import MOST_ROWS, DynamicRunner
from serving.errors import Code, ServingError
from tests.unit.serving.runners import GatedRunner, declared
from tests.waiting import until


def runner_over(runner: GatedRunner) -> DynamicRunner:
    return DynamicRunner(runner, [declared("y:0")])


def ask(runner: DynamicRunner, value: Any, timeout_s: float | None = 20.0, output: str = "y:0") -> list[float]:
    feeds = {"x:0": np.asarray(value, np.float32)}
    answer: list[float] = np.ravel(runner.run(feeds, [output], (), timeout_s)[0]).tolist()
    return answer


class Crowd:
    """Requests that arrive while another one is being run."""

    def __init__(self, runner: GatedRunner, batched: DynamicRunner, output: str = "y:0") -> None:
        self._gate = runner
        self._batched = batched
        self._output = output
        self._pool = ThreadPoolExecutor(100)

    def ask(self, values: Sequence[Any], timeout_s: float | None = 20.0) -> list[Future[list[float]]]:
        """Start a first request, then one for each of `values` when that is running; the gate stays closed."""
        self._gate.close_gate()
        running = self._gate.started
        first = self._pool.submit(ask, self._batched, [0.0], output=self._output)
        until(lambda: self._gate.started == running + 1)
        futures = []
        for value in values:
            futures.append(self._pool.submit(ask, self._batched, value, timeout_s, self._output))
            until(lambda: waiting(self._batched) + self._gate.started - running - 1 >= len(futures))
        self.first = first
        return futures


def waiting(runner: DynamicRunner) -> int:
    return sum(len(lane.queue) for lane in list(runner._lanes._lanes.values()))


def test_a_lone_request_runs_in_its_own_thread_and_at_once() -> None:
    runner = GatedRunner()
    assert ask(runner_over(runner), [3.0]) == [6.0]
    assert runner.threads == [threading.get_ident()]


def test_what_arrives_while_busy_is_run_together_and_answered_apart() -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    futures = Crowd(runner, batched).ask([[float(n)] for n in range(15)] + [[20.0, 21.0]])
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[2.0 * n] for n in range(15)] + [[40.0, 42.0]]
    assert runner.sizes == [1, 17]


def test_a_batch_has_no_more_rows_than_the_maximum() -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    rows = MOST_ROWS // 2 + 1
    futures = Crowd(runner, batched).ask([np.full(rows, n) for n in range(3)] + [np.zeros(MOST_ROWS + 1)])
    runner.open_gate()
    assert [future.result(10)[0] for future in futures] == [0.0, 2.0, 4.0, 0.0]
    assert max(size for size in runner.sizes if size != MOST_ROWS + 1) == rows


def test_other_shapes_do_not_wait_for_the_lane() -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    futures = Crowd(runner, batched).ask([[[1.0, 2.0]], [[1.0, 2.0, 3.0]], 5.0])
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[2.0, 4.0], [2.0, 4.0, 6.0], [10.0]]
    assert set(runner.shapes) == {(1,), (1, 2), (1, 3), ()}


def test_what_has_another_shape_than_its_signature_says_is_run_by_itself() -> None:
    runner = GatedRunner()
    batched = DynamicRunner(runner, [declared("y:0", shape=[-1, 2])])
    values = [[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]], [7.0], [8.0]]  # Other sizes, and other ranks.
    pool = ThreadPoolExecutor(4)
    runner.close_gate()
    futures = [pool.submit(ask, batched, value) for value in values]
    until(lambda: runner.started == len(values))
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[2.0, 4.0, 6.0], [8.0, 10.0, 12.0], [14.0], [16.0]]
    assert runner.sizes == [1, 1, 1, 1]


def test_the_bad_one_of_sixteen_fails_alone_with_its_own_message() -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    futures = Crowd(runner, batched).ask([[float(n)] if n != 11 else [-1.0] for n in range(16)])
    runner.open_gate()
    for n, future in enumerate(futures):
        if n == 11:
            with pytest.raises(ServingError, match="-1 is bad, in a batch of 1"):
                future.result(10)
        else:
            assert future.result(10) == [2.0 * n]
    assert runner.sizes[1] == 16


@pytest.mark.parametrize("work", [lambda x: x.sum(), lambda x: np.concatenate([x, x]), lambda x: np.zeros(5)])
def test_outputs_that_do_not_follow_the_rows_are_answered_one_by_one(work: Callable[[Any], Any]) -> None:
    runner = GatedRunner(work)
    batched = runner_over(runner)
    alone = [np.ravel(work(np.array([n]))).tolist() for n in (1.0, 2.0)]
    for _ in range(3):
        futures = Crowd(runner, batched).ask([[1.0], [2.0]])
        runner.open_gate()
        assert [future.result(10) for future in futures] == alone
    assert runner.sizes.count(2) == 1  # It showed that there is not one result for each row.
    assert not batched.signatures[0].is_stacked


def test_what_nobody_says_to_be_apart_is_never_mixed() -> None:
    runner = GatedRunner(lambda x: x - x.mean())
    signature = declared("y:0")
    signature.grounds = "none"
    batched = DynamicRunner(runner, [signature])
    futures = Crowd(runner, batched).ask([[1.0], [2.0], [4.0]])
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[0.0], [0.0], [0.0]]
    assert set(runner.sizes) == {1}


def test_a_waiting_request_keeps_its_own_time_limit() -> None:
    runner = GatedRunner()
    batched = runner_over(runner)
    crowd = Crowd(runner, batched)
    hasty = crowd.ask([[1.0]], timeout_s=0.05)[0]
    with pytest.raises(ServingError, match="Timed out waiting for notification") as caught:
        hasty.result(10)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    runner.open_gate()
    assert crowd.first.result(10) == [0.0]
    assert ask(batched, [4.0]) == [8.0]
    assert not batched._lanes._lanes


def test_a_time_limit_of_ages_is_none() -> None:
    assert ask(runner_over(GatedRunner()), [1.0], 1e300) == [2.0]


def test_a_crash_in_a_batch_reaches_every_member_and_holds_up_nobody() -> None:
    def crash(x: Any) -> Any:
        if len(x) > 1:
            raise MemoryError
        return 2 * x

    runner = GatedRunner()
    batched = runner_over(runner)
    runner.work = crash
    futures = Crowd(runner, batched).ask([[1.0], [2.0], [3.0]])
    runner.open_gate()
    assert all(isinstance(future.exception(10), (MemoryError, ServingError)) for future in futures)
    assert ask(batched, [4.0]) == [8.0]


def test_many_threads_get_their_own_answers(hasty_threads: None) -> None:
    batched = runner_over(GatedRunner())

    def many(number: int) -> bool:
        return all(ask(batched, [number + n / 100]) == pytest.approx([2 * (number + n / 100)]) for n in range(50))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(many, range(16)))
    assert not batched._lanes._lanes


def test_requests_for_one_of_two_outputs_are_not_mixed_with_those_for_both() -> None:
    runner = GatedRunner()
    batched = DynamicRunner(runner, [declared("y:0", "z:0")])
    feeds: Mapping[str, Any] = {"x:0": np.array([1.0], np.float32)}
    assert [len(batched.run(feeds, names, (), None)) for names in (["y:0"], ["z:0", "y:0"])] == [1, 2]
