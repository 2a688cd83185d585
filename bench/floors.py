"""What the engine must reach in a run of the bench: floors for its rate beside another engine, and no lost request."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bench.results import REFERENCE, CaseResult, Results
from bench.statistics import Spread
from bundle import output


@dataclasses.dataclass(frozen=True)
class Floor:
    """In this row the reference has at least `least` times the rate of `against`; `source` is where `least` is from."""

    case: str
    clients: int
    against: str
    least: float
    source: str

    @property
    def row(self) -> str:
        """The row as the report and the progress name it."""
        return f"{self.case} c={self.clients}"


FLOORS = (
    Floor(
        "lenet-28/plain/rest-bytes",
        16,
        "fastapi",
        3.0,
        "three quarters of 4.1, measured on 2 quiet CPUs of an Intel Xeon (family 6 model 207)",
    ),
    Floor(
        "resnet-32/plain/rest-bytes",
        16,
        "fastapi",
        1.8,
        "half of 3.4, measured on 2 quiet CPUs of an Intel Xeon (family 6 model 207)",
    ),
)
"""The table, as docs/benchmark.md has it."""


@dataclasses.dataclass(frozen=True)
class Compared:
    """A floor and the ratio that a run measured, round by round; None when the run did not measure its row."""

    floor: Floor
    ratio: Spread | None

    @property
    def kept(self) -> bool | None:
        """Whether the median reaches the floor; None when it was not measured."""
        return None if self.ratio is None else self.ratio.median >= self.floor.least

    @property
    def verdict(self) -> str:
        """The answer in a word or two."""
        return {True: "kept", False: "MISSED", None: "not measured"}[self.kept]


def compare(results: Results, floors: Iterable[Floor] = FLOORS) -> list[Compared]:
    """Every floor beside what `results` say about its row."""
    return [Compared(floor, _ratio(results.cases, floor)) for floor in floors]


def failed_requests(results: Results) -> int:
    """How many requests the reference left without an answer, in slices and while versions were switched."""
    slices = (sample for result in results.cases for sample in result.samples.get(REFERENCE, []))
    return sum(sample.failed for sample in slices) + sum(switch.failed for switch in results.switches)


def hold(results: Results, floors: Iterable[Floor] = FLOORS) -> bool:
    """Whether no floor was missed and no request of the reference failed; prints a line for each."""
    compared = compare(results, floors)
    for each in compared:
        output.line(f"{each.verdict:<12} {_described(each)}")
    problems = [
        f"below its floor: {_described(each)}. Floor: {each.floor.source}" for each in compared if each.kept is False
    ]
    failed = failed_requests(results)
    if failed:
        problems.append(f"{REFERENCE} left {failed} requests without an answer; expected none")
    for problem in problems:
        output.fail(problem)
    return not problems


def _described(compared: Compared) -> str:
    floor, ratio = compared.floor, compared.ratio
    asked = f"{floor.row}: {REFERENCE} at least {floor.least:g} times the rate of {floor.against}"
    return f"{asked}, measured {ratio}" if ratio else asked


def _ratio(cases: Iterable[CaseResult], floor: Floor) -> Spread | None:
    for result in cases:
        if (result.case.name, result.case.clients) == (floor.case, floor.clients) and floor.against in result.samples:
            return result.ratio(floor.against)
    return None
