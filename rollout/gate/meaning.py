"""Whether an answer still means what clients of the live version take it for: logits, of that size, in that order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rollout.gate import answers
from rollout.gate.answers import Answered, Rows, best
from rollout.gate.report import Finding

_ROUNDED = 1e-3
"""By what share sums of probabilities may differ: half floats carry three digits."""

_SHARES = "probabilities (rows that sum to {})"
_EACH = "a probability for each class (between 0 and 1)"
_LOGITS = "logits"

_FLOAT32_BITS = 24


def check(answered: Sequence[Answered], most_lost: float, allow_change: bool) -> Finding:
    """Whether what was asked of both versions means the same; what is seen of the candidate alone is noted.

    `most_lost` is the share of images that the candidate may lose (MAX_ACCURACY_DROP).
    """
    with np.errstate(all="ignore"):  # Of numbers near the largest that there is, a mean is infinite.
        return _check(answered, most_lost, allow_change)


def _check(answered: Sequence[Answered], most_lost: float, allow_change: bool) -> Finding:
    trusted = any(each.trusted and each.live_rows is not None for each in answered)
    told: list[str] = []
    main: list[str] = []
    others: list[str] = []
    for each in answered:
        if not np.isfinite(each.rows).all():
            continue
        where = each.where or "it"
        if are_probabilities(each.rows) and not each.where:
            told.append(f"{where} gives probabilities (rows that sum to 1), not logits")
        # Labels that the candidate brings itself say nothing where there are others.
        judged = each.live_rows is not None and each.trusted == trusted
        if judged and each.live_rows is not None and np.isfinite(each.live_rows).all():
            found = others if each.where else main
            found += [f"{where} {problem} ({each.whose})" for problem in _changes(each, most_lost)]
    detail = "; ".join(main or others)  # What is wrong with the main signature need not be said of the others.
    if detail and not allow_change:
        remedy = "export it with the answers that clients know, or allow it with --allow-signature-change"
        return Finding("meaning", "failed", detail, remedy)
    if detail:
        return Finding("meaning", "noted", f"{detail}; allowed by --allow-signature-change")
    if told:
        return Finding("meaning", "noted", "; ".join(dict.fromkeys(told)))
    if not any(each.live_rows is not None for each in answered):
        return Finding("meaning", "skipped", "no live version answered the same images")
    return Finding("meaning", "passed", "numbers of the live version's kind and size, in the same order of classes")


def are_probabilities(rows: Rows) -> bool:
    """Whether every row is one of probabilities, as softmax makes them."""
    return rows.ndim == 2 and rows.shape[1] > 1 and kind(rows) == _SHARES.format(1)


def kind(rows: Rows) -> str:
    """What rows of numbers for each class are, as far as it shows; empty where they are all the same."""
    if rows.min() == rows.max():
        return ""
    for whole in (1, 100):
        if rows.min() >= 0 and rows.shape[1] > 1 and (np.abs(rows.sum(axis=1) - whole) <= _ROUNDED * whole).all():
            return _SHARES.format(whole)
    return _EACH if rows.min() >= 0 and rows.max() <= 1 else _LOGITS


def most_growth(classes: int) -> float:
    """By what factor two trained versions of one model may differ in how far their best class stands out.

    Softmax and cross-entropy let a class stand out by about ln(classes) before it is likelier than all others together;
    from 24 ln 2 more on, float32 cannot tell its probability from 1 any more, the gradient is 0, and training
    pushes no further.
    """
    return (useful(classes) + _FLOAT32_BITS * math.log(2)) / useful(classes)


def useful(classes: int) -> float:
    """How far a class stands out when it is as likely as all others together."""
    return math.log(max(2, classes))


def spread(rows: Rows) -> float:
    """How far the best class stands out from the row's mean, in the median row."""
    return float(np.median(rows.max(axis=1) - rows.mean(axis=1)))


def moved_classes(rows: Rows, reference: Rows) -> list[tuple[int, int]]:
    """Classes that changed places: of the images that `reference` says a of, most get b, and so on back to a.

    That most images say so may be chance where a class has few, so the numbers must agree: those of b must follow the
    reference's of a better than those of a do, over all images; and with the new order most images get the same class.
    """
    theirs, ours = best(reference), best(rows)
    goes = {}
    for index in np.unique(theirs):
        given, counts = np.unique(ours[theirs == index], return_counts=True)
        if 2 * counts.max() > counts.sum():
            goes[int(index)] = int(given[counts.argmax()])
    found = []
    rings = _rings(goes)
    place = {a: b for ring in rings for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)}
    if 2 * np.sum(ours == [place.get(int(index), int(index)) for index in theirs]) <= len(theirs):
        return []  # Not even with that order do they agree on most images.
    for ring in rings:
        pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
        moved = sum(_follows(rows[:, b], reference[:, a]) for a, b in pairs)
        stayed = sum(_follows(rows[:, a], reference[:, a]) for a in ring)
        if moved > stayed:
            found += pairs
    return sorted(found)


def _changes(each: Answered, most_lost: float) -> list[str]:
    assert each.live_rows is not None
    other = "the recorded answers" if each.recorded else "the live version"
    ours, theirs = kind(each.rows), kind(each.live_rows)
    learned = answers.learned(each, most_lost)
    problems = []
    if {ours, theirs} <= {_EACH, _LOGITS}:
        problems = _other_scale(each.rows, each.live_rows, other, learned)
    if ours and theirs and ours != theirs and not problems:
        return [f"gives {ours} where {other} gives {theirs}"]
    rows = _in_lives_order(each)
    moved = moved_classes(rows, each.live_rows) if rows is not None else []
    if moved and not (each.trusted and learned):  # Where the labels are on its side, the live version's order is wrong.
        pairs = ", ".join(f"{b} for {a}" for a, b in moved[:5])
        problems.append(f"has its classes in another order than {other} ({pairs})")
    return problems


def _other_scale(rows: Rows, reference: Rows, other: str, learned: bool) -> list[str]:
    own, theirs = spread(rows), spread(reference)
    if rows.shape[1] < 2 or not own or not theirs:
        return []
    most = most_growth(rows.shape[1])
    # One that was hardly trained may be unsure by any factor, and who learned more is as sure as training makes it.
    largest = most * (max(theirs, useful(rows.shape[1])) if learned else theirs)
    if not theirs / most <= own <= largest:
        return [
            f"gives numbers of another scale: the best class stands out by {own:.3g}, in {other} by {theirs:.3g}; "
            f"training explains a factor of up to {most:.2g}"
        ]
    if _outside(float(rows.mean()), reference) and _outside(float(reference.mean()), rows):
        return [
            f"gives numbers around {rows.mean():.3g}, those of {other} lie between {reference.min():.3g} and "
            f"{reference.max():.3g}"
        ]
    return []


def _outside(value: float, rows: Rows) -> bool:
    return not rows.min() <= value <= rows.max()


def _in_lives_order(each: Answered) -> Rows | None:
    """The candidate's rows with its classes where the live version has them; None when they are not the same."""
    assert each.live_rows is not None
    order = {theirs: own for own, theirs in zip(each.labels, each.live_labels, strict=True)}
    if each.rows.shape != each.live_rows.shape or -1 in order:
        return None
    if all(own == theirs for theirs, own in order.items()):
        return each.rows
    if len(order) != each.rows.shape[1]:
        return None
    return each.rows[:, [order[index] for index in range(each.rows.shape[1])]]


def _rings(goes: dict[int, int]) -> list[list[int]]:
    """The closed ways in a map from class to class, without those of one class."""
    rings = []
    seen: set[int] = set()
    for start in goes:
        way = [start]
        while way[-1] in goes and goes[way[-1]] not in way and goes[way[-1]] not in seen:
            way.append(goes[way[-1]])
        if goes.get(way[-1]) == start and len(way) > 1:
            rings.append(way)
        if goes.get(way[-1]) == start:
            seen.update(way)
    return rings


def _follows(column: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The correlation of two columns; 0 where one of them does not change."""
    if not column.std() or not reference.std():
        return 0.0
    return float(np.corrcoef(column, reference)[0, 1])
