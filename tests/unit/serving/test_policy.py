"""Which versions are aspired, and which step comes next."""

from __future__ import annotations

import pytest

from serving.policy import Action, All, Candidate, Latest, Phase, Specific, VersionPolicy, aspired, next_action


@pytest.mark.parametrize(
    ("policy", "found", "expected"),
    [
        (Latest(1), [42, 17], {42}),
        (Latest(3), [42, 33, 30, 21, 17], {42, 33, 30}),
        (Latest(3), [1], {1}),
        (Latest(1), [], set()),
        (All(), [17, 42], {17, 42}),
        (Specific(frozenset({17, 30})), [42, 33, 30, 21, 17], {17, 30}),
        (Specific(frozenset({77})), [1, 2], set()),
        (Specific(frozenset()), [1, 2], set()),
    ],
)
def test_aspired(policy: VersionPolicy, found: list[int], expected: set[int]) -> None:
    assert aspired(policy, found) == expected


@pytest.mark.parametrize(
    ("count", "found", "failing", "expected"),
    [
        (1, [1, 2], {2}, {1, 2}),
        (1, [1, 2, 3], {2}, {3}),
        (1, [1, 2, 3], {2, 3}, {1, 2, 3}),
        (1, [1, 2], {1, 2}, {1, 2}),
        (2, [3, 5, 6], {6}, {3, 5, 6}),
        (2, [3, 5, 6], {3}, {5, 6}),
    ],
)
def test_a_lower_version_stands_in_for_one_that_fails(
    count: int, found: list[int], failing: set[int], expected: set[int]
) -> None:
    assert aspired(Latest(count), found, failing) == expected


def test_nothing_stands_in_for_a_specific_version() -> None:
    assert aspired(Specific(frozenset({2})), [1, 2], {2}) == {2}


def versions(*described: str) -> list[Candidate]:
    """Candidates from texts such as "3 ready aspired"."""
    parts = [text.split() for text in described]
    return [Candidate(int(p[0]), "aspired" in p, Phase(p[1])) for p in parts]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (["1 disabled", "2 ready", "3 error"], Action("unload", 2)),
        (["1 ready aspired", "2 error aspired", "3 loading aspired", "4 unloading", "5 disabled"], None),
        (["1 ready", "2 loading aspired"], None),
        (["1 ready", "2 error aspired"], None),
        (["1 ready", "2 loading aspired", "3 ready aspired"], Action("unload", 1)),
        (["1 ready", "2 error aspired", "3 ready aspired"], Action("unload", 1)),
        (["2 ready", "1 ready", "3 error aspired", "4 loading aspired"], Action("unload", 1)),
        (["3 ready", "5 ready aspired", "6 new aspired"], Action("unload", 3)),
        (["1 ready", "2 new aspired"], Action("load", 2)),
        (["1 new aspired", "2 new aspired"], Action("load", 2)),
        (["1 new", "2 ready aspired"], None),
        ([], None),
    ],
)
def test_a_version_is_taken_down_only_when_another_can_answer(described: list[str], expected: Action | None) -> None:
    assert next_action(versions(*described)) == expected
