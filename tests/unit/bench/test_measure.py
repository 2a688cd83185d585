from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench import generators, measure
from bench.cases import GRPC_BYTES, REST_BYTES, Case, model_named
from bench.engines.base import Engine
from bench.measure import Pace
from bench.sample import Sample
from bundle.errors import BundleError

MODEL = model_named("lenet-28-plain")
CASE = Case(MODEL, REST_BYTES, 4)


class Recorded(Engine):
    """Writes down what is done to it; `others` gives the disturbance of each slice."""

    def __init__(self, name: str, diary: list[str], others: Iterator[float]) -> None:
        super().__init__(name, MODEL, None)
        self._diary = diary
        self._others = others

    def answers(self, case: Case) -> bool:
        return case.payload == REST_BYTES

    def warm_up(self, case: Case) -> float:
        self._diary.append(f"{self.name} warms up")
        return 100.0

    def measure(self, case: Case, seconds: float, generator: str) -> Sample:
        self._diary.append(f"{self.name} {generator}")
        others = next(self._others)
        return Sample(1.0 - others, None, None, None, None, 0.0, others, 1, 0)

    def hold(self) -> None:
        self._diary.append(f"{self.name} is held")

    def resume(self) -> None:
        self._diary.append(f"{self.name} resumes")

    def close(self) -> None:
        self._diary.append(f"{self.name} is closed")


def engines(diary: list[str], *others: float) -> list[Engine]:
    return [Recorded(name, diary, iter(others or [0.0] * 9)) for name in ("a", "b")]


def test_only_the_engine_whose_turn_it_is_runs() -> None:
    diary: list[str] = []
    measure.interleaved(engines(diary), CASE, Pace(2, 1, generators.OWN))
    turn = [[f"{name} resumes", f"{name} own", f"{name} is held"] for name in "ab"]
    warm_up = [[f"{name} resumes", f"{name} warms up", f"{name} is held"] for name in "ab"]
    assert diary == [entry for part in [*warm_up, *turn, *turn] for entry in part]


def test_disturbed_rounds_are_measured_again_and_the_quietest_are_kept() -> None:
    result = measure.interleaved(engines([], 0.5, 0.0, 0.3, 0.05), CASE, Pace(2, 1, generators.OWN))
    assert result is not None
    assert [sample.others_share for sample in result.samples["a"]] == [0.0, 0.05]


def test_a_machine_that_is_never_quiet_ends_it_all_the_same() -> None:
    result = measure.interleaved(engines([], 0.5, 0.6, 0.4, 0.9), CASE, Pace(2, 1, generators.OWN))
    assert result is not None
    assert [sample.others_share for sample in result.samples["b"]] == [0.4, 0.5]


def test_a_case_that_no_engine_can_answer_is_left_out() -> None:
    assert measure.interleaved(engines([]), Case(MODEL, GRPC_BYTES, 1), Pace(1, 1, generators.OWN)) is None


def test_engines_are_closed_when_a_later_one_does_not_start() -> None:
    diary: list[str] = []
    first, _ = engines(diary)

    def fails(*_: object) -> Engine:
        raise BundleError("does not start")

    starts: list[Callable[..., Engine | None]] = [lambda *_: None, lambda *_: first, fails]
    with pytest.raises(BundleError, match="does not start"), measure.running(starts, MODEL, None):  # type: ignore[arg-type]
        raise AssertionError("must not be reached")
    assert diary == ["a is held", "a is closed"]
