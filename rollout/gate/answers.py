"""What a candidate answers to held-out images: as its manifest says, right often enough, and as the live version?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import manifest
from bundle.settings import Settings
from rollout.gate.report import Finding

Rows = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Answered:
    """One set of held-out images with what the candidate answered, and the live version if it was asked.

    `whose` says whose examples they are; `labels` are the candidate's class indices, and `live_labels` the live one's.
    `where` is the output when it is not the main one. Where the live version does not answer, what was `recorded`
    with the set stands in for it. `trusted` says that the candidate did not choose the labels itself.
    """

    whose: str
    images: tuple[Path, ...]
    labels: tuple[int, ...]
    rows: Rows
    live_labels: tuple[int, ...] = ()
    live_rows: Rows | None = None
    where: str = ""
    recorded: bool = False
    trusted: bool = False

    @property
    def right(self) -> int:
        """How many the candidate gets right."""
        return int(np.sum(best(self.rows) == self.labels))

    @property
    def live_right(self) -> int:
        """How many the live version gets right."""
        return 0 if self.live_rows is None else int(np.sum(best(self.live_rows) == self.live_labels))


def best(rows: Rows) -> NDArray[np.int64]:
    """The class with the largest number, for each row; -1 for a row with a NaN in it."""
    return np.where(np.isnan(rows).any(axis=-1), -1, np.argmax(rows, axis=-1))


def reproduces(found: manifest.Manifest, rows: dict[str, Rows]) -> Finding:
    """Whether the version answers its own examples with the logits in its manifest, in each signature of `rows`."""
    expected = np.array([example.logits for example in found.examples])
    # Rounding grows with the numbers: of a row with a logit of 100, 0.01 is as little as 1e-4 is of one with 1.
    sizes = np.maximum(1.0, np.abs(expected).max(axis=1, keepdims=True))
    worst, where = 0.0, ""
    for signature, logits in rows.items():
        difference = np.max(np.abs(logits - expected) / sizes) if logits.shape == expected.shape else np.nan
        if np.isnan(difference) or difference > worst:
            worst, where = float(np.nan_to_num(difference, nan=np.inf)), signature
    figures = {"largest_difference": worst, "examples": len(expected)}
    if worst <= manifest.TOLERANCE:
        detail = f"the {len(expected)} examples of its manifest, within {worst:.2g}"
        return Finding("logits", "passed", detail, figures=figures)
    return Finding(
        "logits",
        "failed",
        f"{where} differs from the logits in its manifest by {worst:.2g} of a row's largest; "
        f"at most {manifest.TOLERANCE:g} is allowed",
        "it is not the model that its manifest was written for: train it again, or remove assets.extra/",
        figures,
    )


def accuracy(answered: Sequence[Answered], settings: Settings) -> Finding:
    """Whether the candidate is right often enough, by itself and compared with the live version, on every set."""
    problems, told = [], []
    figures: dict[str, float] = {}
    told_of = set()
    for each in answered:
        found = _too_rarely_right(each, settings)
        # The main signature comes first; what is wrong there need not be said of the others.
        problems += found if each.whose not in told_of else []
        told_of |= {each.whose} if found else set()
        if each.where:
            continue
        count = len(each.labels)
        figures |= {f"accuracy on {each.whose}": each.right / count, f"examples of {each.whose}": count}
        text = f"{each.right / count:.4f} on {count} examples of {each.whose}"
        if each.live_rows is not None:
            figures[f"live accuracy on {each.whose}"] = each.live_right / count
            text += f" ({'recorded' if each.recorded else 'live'}: {each.live_right / count:.4f})"
        told.append(text)
    if problems:
        remedy = "train it better; if this is how it should be, set the limit for this one command"
        return Finding("accuracy", "failed", "; ".join(problems), remedy, figures)
    return Finding("accuracy", "passed", "; ".join(told), figures=figures)


def _too_rarely_right(each: Answered, settings: Settings) -> list[str]:
    count = len(each.labels)
    own, live = each.right / count, each.live_right / count
    problems = []
    if each.live_rows is not None and each.live_right - each.right > _counts_for_nothing(
        count, settings.max_accuracy_drop
    ):
        other = "the recorded answers'" if each.recorded else "the live version's"
        where = f", by {each.where}" if each.where else ""
        problems.append(
            f"accuracy {own:.4f} is {live - own:.4f} below {other} {live:.4f} on {count} examples "
            f"of {each.whose}{where}; at most {settings.max_accuracy_drop:g} is allowed (MAX_ACCURACY_DROP)"
        )
    if not each.where and own < settings.min_accuracy:
        problems.append(
            f"accuracy {own:.4f} on {count} examples of {each.whose} is below the {settings.min_accuracy:g} "
            "of MIN_ACCURACY"
        )
    return problems


def learned(each: Answered, most_lost: float) -> bool:
    """Whether the candidate is right on more images than the live version, by more than the share it may lose."""
    return each.right - each.live_right > _counts_for_nothing(len(each.labels), most_lost)


def _counts_for_nothing(count: int, most_lost: float) -> float:
    """How many of `count` images may be lost: one says nothing, however few there are; the rest is for rounding."""
    return max(1, most_lost * count) + 1e-6


def agreement(answered: Sequence[Answered]) -> Finding:
    """How often the candidate and the live version give the same class."""
    compared = [each for each in answered if each.live_rows is not None and not each.where]
    count = sum(len(each.labels) for each in compared)
    same = sum(int(np.sum(same_class(each))) for each in compared)
    figures = {"agreement": same / count, "examples": count}
    return Finding("agreement", "noted", f"the live version's class in {same} of {count} answers", figures=figures)


def same_class(each: Answered) -> NDArray[np.bool_]:
    """For each image of a set that both were asked, whether they name the same class."""
    assert each.live_rows is not None
    # Indices may mean different classes; every example tells one pair of indices that means the same.
    meaning = dict(zip(each.live_labels, each.labels, strict=True))
    live = [meaning.get(int(index), int(index)) for index in best(each.live_rows)]
    return np.equal(best(each.rows), live)
