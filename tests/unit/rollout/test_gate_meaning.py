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
LOST = 0.03


def logits(seed: int, stands_out: float = 8.0) -> Rows:
    """Those of a trained version: the right class stands out, the others scatter."""
    scatter = np.random.default_rng(seed).normal(size=(IMAGES, CLASSES))
    return scatter + stands_out * np.eye(CLASSES)[list(LABELS)]


def softmax(rows: Rows) -> Rows:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(rows: Rows) -> Rows:
    return np.asarray(1 / (1 + np.exp(-rows)))


def answered(rows: Rows, live_rows: Rows | None, where: str = "") -> Answered:
    return Answered("the test", (Path("x"),) * IMAGES, LABELS, rows, LABELS, live_rows, where)


def test_another_training_of_the_same_model_means_the_same() -> None:
    for stands_out in (4.0, 8.0, 16.0):
        assert meaning.check([answered(logits(1, stands_out), logits(2))], LOST, False).verdict == "passed"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (logits(1) * 100, "gives numbers of another scale: the best class stands out by"),
        (logits(1) / 100, "gives numbers of another scale: the best class stands out by"),
        (logits(1) + 1000, "gives numbers around 1e+03, those of the live version lie between"),
        (logits(1) - 1000, "gives numbers around -999, those of the live version lie between"),
        (softmax(logits(1)), "gives probabilities (rows that sum to 1) where the live version gives logits"),
        (softmax(logits(1)) * 100, "gives probabilities (rows that sum to 100) where the live version gives logits"),
        (sigmoid(logits(1)), "gives numbers of another scale: the best class stands out by"),
        (logits(1) * 1e307, "gives numbers of another scale: the best class stands out by"),
        (logits(1)[:, [1, 2, 0, *range(3, 10)]], "has its classes in another order than the live version (2 for 0, 0"),
    ],
)
def test_what_clients_would_take_for_something_else_is_refused_unless_it_is_allowed(rows: Rows, said: str) -> None:
    for where in ("", "serving_default"):
        finding = meaning.check([answered(logits(1), logits(2)), answered(rows, logits(2), where)], LOST, False)
        assert finding.verdict == "failed"
        assert f"{where or 'it'} {said}" in finding.detail
    assert meaning.check([answered(rows, logits(2))], LOST, True).verdict == "noted"


def test_probabilities_are_noted_alone_and_welcome_where_the_live_version_gives_them() -> None:
    alone = meaning.check([answered(softmax(logits(1)), None)], LOST, False)
    assert (alone.verdict, alone.detail) == ("noted", "it gives probabilities (rows that sum to 1), not logits")
    assert meaning.check([answered(softmax(logits(1)), softmax(logits(2)))], LOST, False).verdict == "noted"
    changed = meaning.check([answered(logits(1), softmax(logits(2)))], LOST, False)
    assert "gives logits where the live version gives probabilities" in changed.detail
    unsure = meaning.check([answered(sigmoid(logits(1, 3.0)), logits(2, 3.0))], LOST, False)
    assert "it gives a probability for each class (between 0 and 1) where the live version gives log" in unsure.detail
    assert meaning.check([answered(logits(1), None)], LOST, False).verdict == "skipped"


def test_classes_that_the_manifests_say_are_elsewhere_are_looked_for_there() -> None:
    """The candidate's class 0 is the live version's 1, and it answers so."""
    order = [1, 0, *range(2, 10)]
    each = answered(logits(1)[:, order], logits(2))
    assert meaning.check([each], LOST, False).verdict == "failed"
    told = dataclasses.replace(each, labels=tuple(order[label] for label in LABELS))
    assert meaning.check([told], LOST, False).verdict == "passed"


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


def untrained(classes: int = CLASSES) -> Rows:
    """What a network answers whose weights were drawn and never trained: a little noise."""
    return np.random.default_rng(0).normal(scale=0.3, size=(IMAGES, classes))


def test_a_trained_version_may_follow_an_untrained_one_but_not_one_that_was_as_good() -> None:
    assert meaning.check([answered(logits(1, 16.0), untrained())], LOST, False).verdict == "passed"
    beyond = meaning.check([answered(logits(1, 100.0), untrained())], LOST, False)
    assert "gives numbers of another scale" in beyond.detail
    as_good = meaning.check([answered(logits(1, 16.0), logits(2, 16.0) / 100)], LOST, False)
    assert "gives numbers of another scale" in as_good.detail
    forgotten = meaning.check([answered(untrained(), logits(2, 16.0))], LOST, False)
    assert "gives numbers of another scale" in forgotten.detail


def test_labels_that_the_candidate_did_not_choose_tell_whose_order_is_wrong() -> None:
    order = [1, 2, 0, *range(3, 10)]
    wrong_live = answered(logits(1), logits(2)[:, order])
    assert "in another order" in meaning.check([wrong_live], LOST, False).detail
    trusted = dataclasses.replace(wrong_live, trusted=True)
    assert meaning.check([wrong_live, trusted], LOST, False).verdict == "passed"
    wrong_candidate = dataclasses.replace(trusted, rows=logits(2)[:, order], live_rows=logits(1))
    assert "in another order" in meaning.check([wrong_candidate], LOST, False).detail


def test_an_order_with_which_versions_agree_no_more_is_none() -> None:
    """The live version guesses: of the few that it calls 0 most are 1 by chance, and the other way round."""
    guesses = np.random.default_rng(0).integers(2, CLASSES, IMAGES - 2)
    live, rows = np.eye(CLASSES)[[0, 1, *guesses]], np.eye(CLASSES)[[1, 0, *LABELS[2:]]]
    assert meaning.moved_classes(rows, live) == []
    assert meaning.moved_classes(rows[:2], live[:2]) == [(0, 1), (1, 0)]


def test_rings_are_told_from_ways_that_lead_into_them() -> None:
    assert sorted(map(sorted, meaning._rings({0: 1, 1: 2, 2: 0, 3: 0, 4: 4, 5: 6, 6: 5}))) == [[0, 1, 2], [5, 6]]
    assert meaning._rings({0: 1, 1: 1}) == []


def test_training_explains_less_the_more_classes_there_are() -> None:
    assert [round(meaning.most_growth(count), 1) for count in (2, 10, 1000)] == [25.0, 8.2, 3.4]
