"""Everything that a version answers, asked once: to held-out images in each signature, to rows alone and in company.

The checks look at a survey and ask nothing themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rollout.gate import heldout
from rollout.gate.answers import Rows
from rollout.gate.heldout import Example, HeldOut
from rollout.gate.process import Failed
from rollout.gate.signatures import LOGITS, Question, Signature, common, takes_images
from rollout.gate.version import Mixed, Output, Version

OWN, KEPT = "its own", "the kept set"

Outputs = Mapping[str, Mapping[str, Output]]
"""By signature, then by the output's alias."""


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Held-out images of one set: `labels` are the candidate's class indices, `live_labels` the live version's.

    `recorded` is what the version answered that the kept set came from, in the live version's order of classes; it is
    empty where it was not asked all of them. `trusted` says that the labels are those of the kept set: the candidate
    did not choose them.
    """

    whose: str
    images: tuple[Path, ...]
    labels: tuple[int, ...]
    live_labels: tuple[int, ...]
    recorded: Rows
    different: int
    trusted: bool


@dataclasses.dataclass(frozen=True)
class Survey:
    """What one version answered. `classes` is how many it tells apart, 0 when nobody knows.

    `answers` is by the name of the sheet. `failed` and `unmixed` are signatures that could not be asked, with the
    reason: with held-out images, and alone and in company.
    """

    classes: int
    answers: Mapping[str, Outputs]
    failed: Mapping[str, str]
    mixed: Mapping[str, Mapping[str, Mixed]]
    unmixed: Mapping[str, str]

    def questions(self) -> list[Question]:
        """Where one number per class came out for every image, one for each signature, the best known first."""
        sheets = list(self.answers.values())
        if not sheets:
            return []
        found = []
        for name, outputs in sheets[0].items():
            fitting = [
                alias for alias in outputs if all(name in sheet and len(sheet[name][alias].rows) for sheet in sheets)
            ]
            if fitting:
                found.append(Question(name, LOGITS if LOGITS in fitting else min(fitting)))
        return found

    def rows(self, whose: str, question: Question) -> Rows | None:
        """The rows of one sheet; None when the version has none."""
        output = self.answers.get(whose, {}).get(question.signature, {}).get(question.output)
        return output.rows if output is not None and len(output.rows) else None


def sheets(own: HeldOut | None, kept: HeldOut | None, ours: Sequence[str], theirs: Sequence[str]) -> list[Sheet]:
    """The sets as far as their classes are among `ours`; one that asks what the other asks is left out."""
    sets = {OWN: own, KEPT: kept}
    same = own is not None and kept is not None and heldout.same(own, kept)
    if same:
        del sets[KEPT]
    made = [
        _sheet(whose, each, kept, ours, theirs, trusted=same or whose == KEPT)
        for whose, each in sets.items()
        if each is not None
    ]
    return [sheet for sheet in made if sheet.images]


def take(version: Version, signatures: Mapping[str, Signature], classes: int, asked: Sequence[Sheet]) -> Survey:
    """Ask a version everything; raises Died when it does not survive that."""
    answers: dict[str, dict[str, Mapping[str, Output]]] = {sheet.whose: {} for sheet in asked}
    failed: dict[str, str] = {}
    mixed: dict[str, Mapping[str, Mixed]] = {}
    unmixed: dict[str, str] = {}
    for name in common(signatures, signatures):
        images = takes_images(signatures[name])
        try:
            for sheet in asked if images else ():
                answers[sheet.whose][name] = version.answers(name, sheet.images, classes)
        except Failed as error:
            failed[name] = str(error)
            continue
        try:
            mixed[name] = version.mixed(name, asked[0].images if asked and images else ())
        except Failed as error:
            unmixed[name] = str(error)
    return Survey(classes, answers, failed, mixed, unmixed)


def _sheet(
    whose: str, held_out: HeldOut, kept: HeldOut | None, ours: Sequence[str], theirs: Sequence[str], trusted: bool
) -> Sheet:
    examples = heldout.in_order_of(ours, held_out)
    known = {name: index for index, name in enumerate(theirs)}
    return Sheet(
        whose,
        tuple(each.image for each in examples),
        tuple(each.label for each in examples),
        tuple(known.get(ours[each.label], -1) for each in examples),
        _recorded(examples, kept, theirs),
        len({each.sha256 for each in examples}),
        trusted,
    )


def _recorded(examples: Sequence[Example], kept: HeldOut | None, theirs: Sequence[str]) -> Rows:
    answers = {each.sha256: each.logits for each in kept.examples} if kept is not None else {}
    if kept is None or set(kept.classes) != set(theirs) or not {each.sha256 for each in examples} <= answers.keys():
        return np.zeros((0, 0))
    order = [kept.classes.index(name) for name in theirs]
    return np.array([[answers[each.sha256][n] for n in order] for each in examples])
