"""Some batches are run again request by request: one other answer ends stacking for good."""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import pytest

from serving.batching.audit import agree
from serving.batching.dynamic import DynamicRunner
from tests.unit.serving.runners import GatedRunner, declared
from tests.unit.serving.test_batching_dynamic import Crowd, ask
from tests.waiting import until


def audited_over(runner: GatedRunner, every: int = 1) -> DynamicRunner:
    return DynamicRunner(runner, [declared("y:0")], audit_every=every)


def batch(runner: GatedRunner, batched: DynamicRunner, values: list[float]) -> list[float]:
    """Answers to requests that share a batch."""
    futures = Crowd(runner, batched).ask([[value] for value in values])
    runner.open_gate()
    return [future.result(10)[0] for future in futures]


def counts(batched: DynamicRunner) -> tuple[int, int]:
    return batched.signatures[0].audits, batched.signatures[0].differences


def test_rows_that_are_apart_stay_stacked() -> None:
    runner = GatedRunner()
    batched = audited_over(runner)
    for number in range(3):
        assert batch(runner, batched, [1.0, 2.0, 3.0]) == [2.0, 4.0, 6.0]
        until(lambda number=number: counts(batched) == (number + 1, 0))  # type: ignore[misc]
    assert batched.signatures[0].is_stacked
    assert (batched.signatures[0].batches, batched.signatures[0].rows) == (3, 9)


def test_one_other_answer_ends_stacking_for_good(caplog: pytest.LogCaptureFixture) -> None:
    runner = GatedRunner(lambda x: x - x.mean())
    batched = audited_over(runner)
    assert batch(runner, batched, [1.0, 2.0, 6.0]) == [-2.0, -1.0, 3.0]  # It was declared to be right.
    until(lambda: counts(batched) == (1, 1))
    signature = batched.signatures[0]
    assert not signature.is_stacked
    assert "output y:0 differs by more than rounding" in signature.reason
    assert [r.levelno for r in caplog.records if "one by one from now on" in r.message] == [logging.ERROR]
    assert batch(runner, batched, [1.0, 2.0, 6.0]) == [0.0, 0.0, 0.0]
    assert signature.batches == 1


def test_a_result_of_as_many_rows_as_the_batch_is_found_out() -> None:
    runner = GatedRunner(lambda x: np.zeros(2))
    batched = audited_over(runner)
    batch(runner, batched, [1.0, 2.0])
    until(lambda: counts(batched) == (1, 1))


def test_batches_are_looked_at_with_pauses_that_grow_up_to_the_limit() -> None:
    runner = GatedRunner()
    batched = audited_over(runner, every=10)
    looked_at = []
    for number in range(1, 31):
        before = counts(batched)[0]
        batch(runner, batched, [1.0, 2.0])
        until(lambda: not batched._auditor._one_at_a_time.locked())
        looked_at += [number] * (counts(batched)[0] - before)
    assert looked_at == [1, 9, 19, 29]


def test_each_signature_has_its_first_batch_looked_at() -> None:
    runner = GatedRunner(lambda x: x - x.mean())
    batched = DynamicRunner(runner, [declared("y:0"), declared("z:0")], audit_every=1000)
    for number, output in enumerate(("y:0", "z:0")):
        futures = Crowd(runner, batched, output).ask([[1.0], [2.0]])
        runner.open_gate()
        assert [future.result(10) for future in futures] == [[-0.5], [0.5]]
        until(lambda number=number: not batched.signatures[number].is_stacked)  # type: ignore[misc]


def test_a_turn_that_comes_during_another_audit_is_not_lost() -> None:
    runner = GatedRunner(lambda x: x - x.mean())
    batched = audited_over(runner, every=1000)
    with batched._auditor._one_at_a_time:
        batch(runner, batched, [1.0, 2.0])
    assert batched.signatures[0].is_stacked
    batch(runner, batched, [1.0, 2.0])
    until(lambda: counts(batched) == (1, 1))


def test_no_audit_is_made_when_it_is_turned_off() -> None:
    runner = GatedRunner(lambda x: x - x.mean())
    batched = audited_over(runner, every=0)
    for _ in range(3):
        batch(runner, batched, [1.0, 2.0])
    assert counts(batched) == (0, 0)
    assert batched.signatures[0].is_stacked


def test_an_audit_waits_until_nothing_else_runs() -> None:
    runner = GatedRunner()
    batched = audited_over(runner)
    other = Crowd(runner, batched)  # It keeps the shape [n, 1] busy.
    futures = Crowd(runner, batched).ask([[1.0], [2.0]])
    wide = threading.Thread(target=ask, args=(batched, [[1.0]]))
    wide.start()
    until(lambda: (1, 1) in runner.shapes)
    del other
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[2.0], [4.0]]
    wide.join(10)
    until(lambda: counts(batched) == (1, 0))
    assert batched._lanes.wait_until_idle(10)


def test_a_version_is_not_closed_under_an_audit() -> None:
    runner = GatedRunner()
    batched = audited_over(runner)
    batch(runner, batched, [1.0, 2.0])
    batched.close()
    assert runner.closed
    runs = runner.started
    until(lambda: not batched._auditor._one_at_a_time.locked())
    assert runner.started == runs


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([1, 2], np.float32), np.array([1, 2.00001], np.float32), True),
        (np.array([1, 2], np.float32), np.array([1, 2.01], np.float32), False),
        (np.array([1e6, 1], np.float32), np.array([1e6, 1.5], np.float32), True),  # It is small beside the largest.
        (np.array([np.nan], np.float32), np.array([np.nan], np.float32), True),
        (np.array([np.nan], np.float32), np.array([0], np.float32), False),
        (np.array([1], np.float32), np.array([1], np.float64), False),
        (np.array([[1]], np.float32), np.array([1], np.float32), False),
        (np.array([1, 2], np.int64), np.array([1, 3], np.int64), False),
        (np.array([b"a"], object), np.array([b"b"], object), False),
        (np.array([1], np.float16), np.array([1.001], np.float16), True),
        (np.array([1 + 2j], np.complex64), np.array([1.00001 + 2j], np.complex64), True),
        (np.array([1 + 2j], np.complex64), np.array([1 + 2.01j], np.complex64), False),
    ],
)
def test_what_counts_as_rounding(one: Any, other: Any, same: bool) -> None:
    assert agree(one, other) is same
