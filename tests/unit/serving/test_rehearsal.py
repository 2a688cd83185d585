"""What can be stacked is tried before a version serves, with whatever there is to try."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.batching.rehearsal import rehearse
from serving.probes import Probe
from tests.unit.serving.runners import GatedRunner
from tests.unit.serving.test_batching_dynamic import runner_over


def rehearsed(value: Any) -> tuple[GatedRunner, Any]:
    runner = GatedRunner()
    batched = runner_over(runner)
    rehearse(batched, [Probe("s", {"x:0": np.asarray(value, np.float32)}, ("y:0",))])
    return runner, batched._stackable[0].proof


@pytest.mark.parametrize("value", [[1.0], [1.0, 2.0], [3.0] * 5])
def test_rows_that_differ_are_stacked(value: list[float]) -> None:
    runner, proof = rehearsed(value)
    assert proof.covers([{"x:0": np.array([n], np.float32)} for n in range(2)])
    assert set(runner.sizes) == {1, 3}


@pytest.mark.parametrize("value", [[], 1.0])
def test_what_has_no_rows_is_left_to_the_first_requests(value: Any) -> None:
    runner, proof = rehearsed(value)
    assert not runner.sizes
    assert not proof.covers([{"x:0": np.array([n], np.float32)} for n in range(2)])
    assert not proof.refuted
