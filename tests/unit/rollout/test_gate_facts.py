"""What is said of tensors: numbers or not, rows, differences; and which batches rows are asked in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rollout.gate import facts, mixing
from rollout.gate.inputs import Stock

ml_dtypes = pytest.importorskip("ml_dtypes")


class Info:
    """What is read of a TensorInfo."""

    dtype = 1

    class tensor_shape:
        unknown_rank = True


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.complex64, ml_dtypes.bfloat16])
def test_nan_and_infinity_are_seen_in_every_type_that_has_them(kind: Any) -> None:
    assert facts.finite(np.array([1, 2], kind))
    for bad in (np.nan, np.inf, -np.inf):
        assert not facts.finite(np.array([1, bad], kind))


def test_integers_strings_and_nothing_are_finite() -> None:
    for value in (np.array([1]), np.array([True]), np.array([b"nan"], object), np.zeros((0, 3))):
        assert facts.finite(value)


def test_values_lie_apart_by_a_share_and_nan_lies_on_nan() -> None:
    one = np.array([1.0, np.nan, np.inf])
    assert facts.apart(one, one.copy(), 1.0) == 0.0
    assert facts.apart(one, np.array([3.0, np.nan, np.inf]), 10.0) == pytest.approx(0.2)
    for other in ([1.0, 0.0, np.inf], [1.0, np.nan, -np.inf], [1.0, np.nan]):
        assert facts.apart(one, np.array(other), 1.0) == np.inf
    assert facts.apart(np.array([b"a"], object), np.array([b"b"], object), 1.0) == np.inf
    assert facts.largest([np.array([-3, np.inf]), np.array([2.0])]) == 3.0
    assert facts.largest([np.zeros(2), np.array([b"x"], object)]) == 1.0


def test_rows_are_kept_where_they_have_the_width_that_was_asked_for() -> None:
    pytest.importorskip("tensorflow")
    seen = facts.Seen(Info, 2)
    seen.add(np.array([[1, 2], [3, np.nan]], np.float32), 2)
    seen.add(np.array([[5, 6]], np.float32), 1)
    found = seen.facts()
    assert (found["width"], found["per_image"], found["not_finite"], found["varies"]) == (2, True, [1], True)
    assert found["rows"]
    still = facts.Seen(Info, 2)
    for _ in range(2):
        still.add(np.ones((3, 2), np.float32), 3)
    assert not still.facts()["varies"]
    still.add(np.float32(1.0) * np.ones(()), 3)
    assert (still.facts()["per_image"], still.facts()["width"], still.facts()["rows"]) == (False, -1, "")


def _mixed(answer: Any) -> dict[str, Any]:
    pytest.importorskip("tensorflow")
    stock = Stock({"x": [np.array([float(n), 1.0]) for n in range(mixing.COUNT)]}, {}, mixing.COUNT)
    found: dict[str, Any] = mixing.mix(lambda feed: {"y": answer(feed["x"])}, stock, {"y": Info})["y"]
    return found


def test_every_row_is_asked_alone_in_a_three_and_in_two_sixteens() -> None:
    asked: list[tuple[float, ...]] = []

    def answer(x: Any) -> Any:
        asked.append(tuple(x[:, 0]))
        return x * 2

    found = _mixed(answer)
    assert (found["asked"], found["per_image"], found["apart"], found["changes"]) == ([1, 3, 16], [1, 3, 16], 0.0, 0.0)
    rows = set(map(float, range(mixing.COUNT)))
    assert {row for batch in asked if len(batch) == 3 for row in batch} == rows
    assert len({batch for batch in asked if len(batch) == 16}) == 2
    assert {batch for batch in asked if len(batch) == 1} == {(row,) for row in rows}


def test_company_size_and_chance_show() -> None:
    assert _mixed(lambda x: x - x.mean(axis=0))["apart"] > 0.1
    assert _mixed(lambda x: x + len(x))["apart"] > 0.1
    assert _mixed(lambda x: np.where(len(x) == 16, np.nan, x))["not_finite"] == [16]
    assert _mixed(lambda x: x[: 2 if len(x) == 3 else len(x)])["per_image"] == [1, 16]
    assert _mixed(lambda x: x.sum())["per_image"] == []
    counter = iter(range(100))
    assert _mixed(lambda x: x + next(counter))["changes"] > 0.1
