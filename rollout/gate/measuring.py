"""What both versions answered to the same images, side by side; and the candidate beside its own manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from rollout.gate import answers, cure, survey
from rollout.gate.answers import Answered
from rollout.gate.report import Finding
from rollout.gate.signatures import BYTES, LOGITS, OURS, PIXELS, Question
from rollout.gate.soundness import Context
from rollout.gate.survey import Sheet
from rollout.gate.version import Output

_NOT_ITS_OWN = "its manifest is another model's: train it again, or remove assets.extra/ to publish it without one"


def reproduced(context: Context) -> Finding:
    """Whether the candidate answers the examples of its manifest with the logits in it."""
    document = context.manifest
    if document is None or not document.examples:
        return Finding("logits", "skipped", "it has no manifest with examples, so nobody says what it must answer")
    fitting = sorted((each for each in OURS if _has(context, each)), key=str)
    refused = [
        f"{each.signature}: {context.survey.failed[each.signature]}"
        for each in fitting
        if each.signature in context.survey.failed
    ]
    if refused:
        problem = f"it does not answer the examples of its manifest: {'; '.join(refused)}"
        return Finding("logits", "failed", problem, cure.of(problem))
    rows = {each.signature: context.survey.rows(survey.OWN, each) for each in fitting}
    found = {name: each for name, each in rows.items() if each is not None}
    if not found:
        detail = f"its manifest has logits, but neither {BYTES} nor {PIXELS} has an output {LOGITS} for them"
        return Finding("logits", "failed", detail, _NOT_ITS_OWN)
    return answers.reproduces(document, found)


def answered(context: Context) -> list[Answered]:
    """Every sheet with the main signature and, where both versions answer, with the others."""
    own, other = context.survey.questions(), context.live.questions() if context.live else []
    shared: list[tuple[Question, Question | None]] = [(question, question) for question in own if question in other]
    asked = shared or [(question, other[0] if other else None) for question in own[:1]]
    found = [
        _answered(context, sheet, question, of_live, where="" if n == 0 else str(question))
        for n, (question, of_live) in enumerate(asked)
        for sheet in context.sheets
    ]
    return found + [each for sheet in context.sheets for each in _named(context, sheet)] if found else []


def _named(context: Context, sheet: Sheet) -> Iterator[Answered]:
    """Outputs that name a class, as those of the live version do for most images: rows that are 1 for that class."""
    live = context.live.answers.get(sheet.whose, {}) if context.live else {}
    for signature, outputs in context.survey.answers.get(sheet.whose, {}).items():
        for alias, output in outputs.items():
            other = live.get(signature, {}).get(alias)
            if other is None or not output.words or not other.words:
                continue
            rows, live_rows = _as_rows(output, context.ours), _as_rows(other, context.theirs)
            each = _on(sheet, rows, live_rows)
            if 2 * each.live_right > len(sheet.images):
                yield dataclasses.replace(each, where=str(Question(signature, alias)))


def _as_rows(output: Output, classes: Sequence[str]) -> answers.Rows:
    """One row for each word; the last column is for those that are no class."""
    names = [*classes] if output.kind == "object" else [str(n) for n in range(len(classes))]
    index = {name: n for n, name in enumerate(names)}
    return np.eye(len(names) + 1)[[index.get(word, len(names)) for word in output.words]]


def _answered(context: Context, sheet: Sheet, question: Question, of_live: Question | None, where: str) -> Answered:
    rows = context.survey.rows(sheet.whose, question)
    assert rows is not None
    live_rows = context.live.rows(sheet.whose, of_live) if context.live and of_live else None
    recorded = live_rows is None and context.lost_live and len(sheet.recorded) > 0
    if recorded:
        live_rows = sheet.recorded
    return dataclasses.replace(_on(sheet, rows, live_rows), where=where, recorded=recorded)


def _on(sheet: Sheet, rows: answers.Rows, live_rows: answers.Rows | None) -> Answered:
    return Answered(sheet.whose, sheet.images, sheet.labels, rows, sheet.live_labels, live_rows, trusted=sheet.trusted)


def _has(context: Context, question: Question) -> bool:
    signature = context.signatures.get(question.signature)
    return signature is not None and question.output in signature.outputs
