from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench.statistics import Requests, Spread


def requests(*rows: tuple[float, float, float]) -> Requests:
    table = np.array(rows).reshape(-1, 3)
    return Requests(table[:, 0], table[:, 1], table[:, 2] == 1.0)


def batches(clients: int, period_s: float, count: int, jitter_s: float = 0.0) -> Requests:
    """`clients` requests that are always answered together, every `period_s`."""
    return requests(
        *(
            (number * period_s, (number + 1) * period_s + client * jitter_s, 1.0)
            for number in range(count)
            for client in range(clients)
        )
    )


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9, 1.7])
def test_the_rate_of_batches_does_not_depend_on_where_counting_begins(cut: float) -> None:
    every = batches(clients=16, period_s=0.5, count=10, jitter_s=0.001)
    assert every.between(cut, 4.2).rate(16) == pytest.approx(32.0, rel=0.01)


def test_a_rate_needs_a_whole_cycle() -> None:
    assert math.isnan(batches(clients=16, period_s=0.5, count=1).rate(16))
    assert math.isnan(requests().rate(1))


def test_failed_requests_count_neither_as_rate_nor_as_latency() -> None:
    seen = requests((0.0, 1.0, 1.0), (1.0, 1.001, 0.0), (1.001, 2.0, 1.0), (2.0, 3.0, 1.0))
    assert seen.failed == 1
    assert seen.rate(1) == pytest.approx(1.0)
    assert seen.latency_ms(50) == pytest.approx(1000.0)


def test_a_request_that_was_held_up_belongs_to_the_moment_that_held_it_up() -> None:
    seen = requests((0.0, 1.0, 1.0), (1.9, 4.0, 1.0), (3.0, 3.5, 1.0))
    assert seen.under_way(1.5, 2.5).ended.tolist() == [4.0]
    assert seen.between(1.5, 2.5).ended.tolist() == []


def test_samples_are_read_in_the_order_of_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    np.array([[0.0, 2.0, 1.0], [0.5, 1.0, 0.0]]).tofile(path)
    seen = Requests.read(path)
    assert seen.ended.tolist() == [1.0, 2.0]
    assert seen.answered.tolist() == [False, True]


def test_spread_is_the_median_with_its_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.5]) == Spread(2.5, 1.0, 3.0)
