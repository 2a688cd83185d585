from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.splits import stratified


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=200),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_sample_is_on_one_side_and_every_class_on_both(labels: list[int], share: float, seed: int) -> None:
    array = np.array(labels, np.int64)
    kept, held = stratified(array, share, seed)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for label in set(labels):
        members = labels.count(label)
        on_hold = int(np.sum(array[held] == label))
        assert on_hold == (0 if members == 1 else min(max(round(members * share), 1), members - 1))


def test_the_seed_decides_the_split() -> None:
    labels = np.repeat(np.arange(10), 30)
    first, again, other = (stratified(labels, 0.2, seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_inputs_have_nothing_to_hold_back(count: int) -> None:
    kept, held = stratified(np.zeros(count, np.int64), 0.5, 0)
    assert (len(kept), len(held)) == (count, 0)
