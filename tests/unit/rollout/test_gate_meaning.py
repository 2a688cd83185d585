"""Logits or probabilities, of which scale, in which order: judged from made-up answers of both versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rollout.gate import meaning
from rollout.gate.answers import Answered, Rows

CLASSES, IMAGES = 10, 60
LABELS = tuple(n % CLASSES for n in range(IMAGES))


def logits(seed: int, stands_out: float = 8.0) -> Rows:
    """Those of a trained version: the right class stands out, the others scatter."""
    scatter = np.random.default_rng(seed).normal(size=(IMAGES, CLASSES))
    return scatter + stands_out * np.eye(CLASSES)[list(LABELS)]


def softmax(rows: Rows) -> Rows:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def answered(rows: Rows, live_rows: Rows | None, where: str = "") -> Answered:
    return Answered("the test", (Path("x"),) * IMAGES, LABELS, rows, LABELS, live_rows, where)


def test_another_training_of_the_same_model_means_the_same() -> None:
    for stands_out in (4.0, 8.0, 16.0):
        assert meaning.check([answered(logits(1, stands_out), logits(2))], False).verdict == "passed"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (logits(1) * 100, "gives numbers of another scale: the best class stands out by"),
        (logits(1) / 100, "gives numbers of another scale: the best class stands out by"),
        (logits(1) + 1000, "gives numbers around 1e+03, those of the live version lie between"),
        (logits(1) - 1000, "gives numbers around -999, those of the live version lie between"),
        (softmax(logits(1)), "gives probabilities (rows that sum to 1) where the live version gives logits"),
        (logits(1)[:, [1, 2, 0, *range(3, 10)]], "has its classes in another order than the live version (2 for 0, 0"),
    ],
)
def test_what_clients_would_take_for_something_else_is_refused_unless_it_is_allowed(rows: Rows, said: str) -> None:
    for where in ("", "serving_default"):
        finding = meaning.check([answered(logits(1), logits(2)), answered(rows, logits(2), where)], False)
        assert finding.verdict == "failed"
        assert f"{where or 'it'} {said}" in finding.detail
    assert meaning.check([answered(rows, logits(2))], True).verdict == "noted"


def test_probabilities_are_noted_alone_and_welcome_where_the_live_version_gives_them() -> None:
    alone = meaning.check([answered(softmax(logits(1)), None)], False)
    assert (alone.verdict, alone.detail) == ("noted", "it gives probabilities (rows that sum to 1), not logits")
    assert meaning.check([answered(softmax(logits(1)), softmax(logits(2)))], False).verdict == "noted"
    changed = meaning.check([answered(logits(1), softmax(logits(2)))], False)
    assert "gives logits where the live version gives probabilities" in changed.detail
    assert meaning.check([answered(logits(1), None)], False).verdict == "skipped"


def test_classes_that_the_manifests_say_are_elsewhere_are_looked_for_there() -> None:
    """The candidate's class 0 is the live version's 1, and it answers so."""
    order = [1, 0, *range(2, 10)]
    each = answered(logits(1)[:, order], logits(2))
    assert meaning.check([each], False).verdict == "failed"
    told = dataclasses.replace(each, labels=tuple(order[label] for label in LABELS))
    assert meaning.check([told], False).verdict == "passed"


def test_two_classes_that_are_hard_to_tell_apart_have_not_changed_places_by_chance() -> None:
    """Both versions hardly tell 0 from 1, and the candidate decides the other way for each of their images."""
    live = logits(2)
    for image, label in enumerate(LABELS):
        if label < 2:
            live[image, label], live[image, 1 - label] = 8.0, 7.9
    rows = live.copy()
    hard = [label < 2 for label in LABELS]
    rows[hard, 0], rows[hard, 1] = live[hard, 1], live[hard, 0]
    assert (rows[hard].argmax(axis=1) != live[hard].argmax(axis=1)).all()
    assert meaning.moved_classes(rows, live) == []
    assert meaning.moved_classes(live[:, [1, 0, *range(2, CLASSES)]], live) == [(0, 1), (1, 0)]


def test_rings_are_told_from_ways_that_lead_into_them() -> None:
    assert sorted(map(sorted, meaning._rings({0: 1, 1: 2, 2: 0, 3: 0, 4: 4, 5: 6, 6: 5}))) == [[0, 1, 2], [5, 6]]
    assert meaning._rings({0: 1, 1: 1}) == []


def test_training_explains_less_the_more_classes_there_are() -> None:
    assert [round(meaning.most_growth(count), 1) for count in (2, 10, 1000)] == [25.0, 8.2, 3.4]
