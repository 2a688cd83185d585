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


def _mixed(answer: Any, doubtful: int = -1, most: int = mixing.COUNT) -> dict[str, Any]:
    pytest.importorskip("tensorflow")
    rows = [np.array([float(n), 1.0]) for n in range(mixing.COUNT)]
    stock = Stock({"x": rows}, {}, mixing.COUNT, frozenset({doubtful}), most)
    found: dict[str, Any] = mixing.mix(lambda feed: {"y": answer(feed["x"])}, stock, {"y": Info})["y"]
    return found


def test_every_row_is_asked_alone_and_in_batches_of_every_size() -> None:
    asked: list[tuple[float, ...]] = []

    def answer(x: Any) -> Any:
        asked.append(tuple(x[:, 0]))
        return x * 2

    found = _mixed(answer)
    sizes = list(range(1, mixing.COUNT + 1))
    assert (found["asked"], found["per_image"], found["apart"], found["changes"]) == (sizes, sizes, 0.0, 0.0)
    rows = set(map(float, range(mixing.COUNT)))
    assert all(len(set(batch)) == len(batch) for batch in asked)
    assert len({batch for batch in asked if len(batch) == 16}) == 2
    assert {batch for batch in asked if len(batch) == 1} == {(row,) for row in rows}


def test_company_size_and_chance_show() -> None:
    assert _mixed(lambda x: x - x.mean(axis=0))["apart"] > 0.1
    assert _mixed(lambda x: x + len(x))["apart"] > 0.1
    assert _mixed(lambda x: np.where(len(x) == 16, np.nan, x))["not_finite"] == [16]
    assert _mixed(lambda x: x[: 2 if len(x) == 3 else len(x)])["per_image"] == [1, 2, *range(4, 17)]
    assert _mixed(lambda x: x.sum())["per_image"] == []
    counter = iter(range(100))
    assert _mixed(lambda x: x + next(counter))["changes"] > 0.1


def test_batches_are_as_large_as_there_is_room_for_and_few_where_a_run_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _mixed(lambda x: x, most=4)["asked"] == [1, 2, 3, 4]
    monkeypatch.setattr(mixing, "_SLOW_S", -1.0)
    asked: list[int] = []

    def by_size(x: Any) -> Any:
        asked.append(len(x))
        return x + len(x)

    found = _mixed(by_size)
    assert (found["asked"], found["apart"] > 0.1) == ([1, 3, 16], True)
    assert len(asked) == 9


def test_rows_that_it_may_not_have_to_answer_are_told_apart() -> None:
    def seventh(x: Any) -> Any:
        return np.where(x == 7.0, np.nan, x)

    found = _mixed(seventh, doubtful=7)
    assert (found["not_finite"], found["doubtful"][0], found["never_finite"]) == ([], 1, False)
    found = _mixed(seventh, doubtful=8)
    assert (found["not_finite"][0], found["doubtful"]) == (1, [])
    found = _mixed(lambda x: x * np.nan, doubtful=8)
    assert (found["not_finite"][0], found["doubtful"][0], found["never_finite"]) == (1, 1, True)
