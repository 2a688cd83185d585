"""What answers show by themselves, without anything to compare them with.

Are they numbers, one for each class and image, do they differ from image to image and not from request to request, and
does a row keep to itself? Made-up numbers show only whether an answer is a number: what else a version should say to
them nobody knows. Of made-up and distorted pictures the same is asked, and whether company changes the answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from bundle import manifest
from rollout.gate import cure
from rollout.gate.report import Finding
from rollout.gate.signatures import OURS, Question, Signature, takes_images
from rollout.gate.survey import Sheet, Survey
from rollout.gate.version import Mixed, Output, Replay

_HALF_ROUNDING = 2e-2
_FLOATS = ("float", "bfloat")
_MOST_NAMED = 3
_NO_FAULT_OF_THE_INPUT = ("FAILED_PRECONDITION", "NOT_FOUND")
"""How TensorFlow's errors begin that no other request would avoid, as when a variable was never restored."""


@dataclasses.dataclass(frozen=True)
class Context:
    """What the candidate is and answered, and what the live version answered, if there is one that did.

    `ours` and `theirs` are the names of the candidate's classes and of the live version's.
    `lost_live` says that there is one, and that it does not answer here.
    """

    signatures: Mapping[str, Signature]
    survey: Survey
    sheets: Sequence[Sheet]
    live: Survey | None
    ours: Sequence[str]
    theirs: Sequence[str]
    manifest: manifest.Manifest | None
    replay: Replay | None
    operations: Sequence[str]
    lost_live: bool

    @property
    def promised(self) -> set[Question]:
        """Outputs that must give one number per class: those of our versions, and what the live one gives them in."""
        images = {name for name, each in self.signatures.items() if takes_images(each)}
        live = set() if self.live is None else {
            Question(name, alias)
            for outputs in self.live.answers.values()
            for name, each in outputs.items()
            for alias, output in each.items()
            if len(output.rows)
        }  # fmt: skip
        return {
            each
            for each in live | OURS | set(self.survey.questions())
            if each.signature in images and each.output in self.signatures[each.signature].outputs
        }


def finite(context: Context) -> Finding:
    """Whether every number that came back is one."""
    problems = []
    for sheet in context.sheets:
        for question, output in _outputs(context.survey, sheet):
            if output.not_finite:
                names = [sheet.images[n].name for n in output.not_finite[:_MOST_NAMED] if 0 <= n < len(sheet.images)]
                problems.append(
                    f"{question} is NaN or infinite for {len(output.not_finite)} of {len(sheet.images)} images of "
                    f"{sheet.whose} ({', '.join(names)})"
                )
    problems += [
        f"{question} is NaN or infinite for distorted or made-up pictures, {_in_batches(mixed.not_finite)}"
        for question, mixed in _mixed(context.survey)
        if mixed.not_finite
    ]
    doubtful = [
        (question, mixed) for question, mixed in _mixed(context.survey) if mixed.doubtful and not mixed.not_finite
    ]
    needed = [question for question, mixed in doubtful if _must_be_a_number(context, question, mixed)]
    problems += [_doubt(context, question) for question in needed]
    doubts = [_doubt(context, question) for question, _ in doubtful if question not in needed]
    for named in context.replay.not_finite if context.replay else ():
        problems.append(f"{named} is NaN or infinite for its own warm-up requests")
    if problems:
        remedy = (
            "look for a division by zero, a logarithm or an overflow in it; if it takes other numbers than made-up "
            "ones, give it warm-up requests that show which"
        )
        return Finding("finite", "failed", "; ".join(problems), remedy)
    if doubts:
        return Finding("finite", "noted", f"{'; '.join(doubts)}, which it may not have to answer")
    asked = sorted({*context.survey.mixed, *(name for each in context.survey.answers.values() for name in each)})
    if not asked:
        return Finding("finite", "skipped", f"it could not be asked: {_reasons(context.survey.unmixed)}")
    return Finding("finite", "passed", f"no NaN and no infinity in what {', '.join(asked)} answered")


def outputs(context: Context, allow_change: bool) -> Finding:
    """Whether outputs are as declared, one row for each image, and one number for each class where that is promised."""
    declared = [f"{question} is {each.mismatch}" for question, each in _everything(context) if each.mismatch]
    declared += [f"{question} has not as many rows as images in batches of "
                 f"{_sizes(set(each.asked) - set(each.per_image))}, and has in others"
                 for question, each in _mixed(context.survey) if _is_uneven(each)]  # fmt: skip
    declared += list(_without_an_answer(context, allow_change))
    counted = list(_wrong_counts(context))
    if declared or (counted and not (allow_change and context.manifest is None)):
        said = "; ".join([*declared, *counted])
        remedy = "give it a row for each image, and a number for each class"
        return Finding("outputs", "failed", said, cure.of(said) if "not answer" in said else remedy)
    if counted:
        return Finding("outputs", "noted", f"{'; '.join(counted)}; allowed by --allow-signature-change")
    others = _reasons({**context.survey.failed, **context.survey.unmixed})
    detail = f"as its {len(context.signatures)} signatures declare them"
    if context.survey.classes and context.promised:
        detail += f", {context.survey.classes} numbers for each image"
    return Finding("outputs", "passed", detail + (f"; could not be asked: {others}" if others else ""))


def _without_an_answer(context: Context, allow_change: bool) -> Iterator[str]:
    """Signatures that must answer, and do not: one that no server can ask, or that answers in the live version."""
    promised = {each.signature for each in context.promised} if context.sheets else set()
    live = context.live if context.live is not None and not allow_change else None
    failures = (
        (
            "held-out images",
            context.survey.failed,
            {name for each in live.answers.values() for name in each} if live else (),
        ),
        ("pictures or numbers, alone and in batches", context.survey.unmixed, live.mixed if live else ()),
    )
    for what, reasons, answered in failures:
        for name, reason in reasons.items():
            if name in promised or reason.startswith(_NO_FAULT_OF_THE_INPUT):
                yield f"{name} does not answer {what}: {reason}"
            elif name in answered:
                yield f"{name} does not answer {what}, and the live version's does: {reason}"


def varied(context: Context) -> Finding:
    """Whether different images get different answers."""
    sheets = [sheet for sheet in context.sheets if sheet.different > 1]
    problems = [
        f"{question} gives one and the same answer to all {len(sheet.images)} images of {sheet.whose}"
        for sheet in sheets
        for question, _ in _constant(context, sheet)
    ]
    if problems:
        return Finding("varied", "failed", "; ".join(problems), "train it again: it does not look at its input")
    if not sheets:
        return Finding("varied", "skipped", "no two held-out images are known, so their answers cannot be compared")
    return Finding("varied", "passed", "different images get different answers")


def repeatable(context: Context) -> Finding:
    """Whether equal requests get equal answers. Never refuses: a version may be meant to draw at random."""
    changing = [f"{question}{_by(each.changes)}" for question, each in _mixed(context.survey) if _changes(each)]
    if not changing:
        return Finding("repeatable", "passed", "equal requests get equal answers")
    random = [name for name in context.operations if "Random" in name or name == "Multinomial"]
    why = f"its graph draws random numbers ({', '.join(random[:_MOST_NAMED])})" if random else (
        "and no operation of its graph draws random numbers"
    )  # fmt: skip
    return Finding("repeatable", "noted", f"equal requests get other answers: {', '.join(changing)}; {why}")


def rows(context: Context) -> Finding:
    """Whether rows of the signatures that the manifest declares row-wise get the same answer in any company."""
    names = context.manifest.row_wise if context.manifest else ()
    problems = [problem for name in names for problem in _not_row_wise(context, name)]
    if problems:
        remedy = "take it out of row_wise in its manifest, or export it so that rows do not influence each other"
        return Finding("rows", "failed", "; ".join(problems), remedy)
    mixing = sorted(
        {
            question.signature
            for question, each in _mixed(context.survey)
            if question.signature not in names
            and set(each.per_image) == set(each.asked)
            and each.apart > rounding(each.kind)
            and not _changes(each)
        }
    )
    if mixing:
        detail = f"a row of {', '.join(mixing)} gets another answer in other company; it is not declared row-wise"
        return Finding("rows", "noted", detail)
    if not names:
        return Finding("rows", "skipped", "it declares no signature row-wise")
    worst = max(each.apart for name in names for each in context.survey.mixed[name].values())
    detail = f"{', '.join(names)}: the same answer alone and in batches, within {worst:.2g}"
    return Finding("rows", "passed", detail, figures={"largest_difference": worst})


def rounding(kind: str) -> float:
    """The share of its largest number by which two answers of a type may differ and mean the same."""
    if not kind.startswith(_FLOATS):
        return 0.0
    return manifest.TOLERANCE if kind in ("float32", "float64") else _HALF_ROUNDING


def _doubt(context: Context, question: Question) -> str:
    what = "pictures of one colour" if takes_images(context.signatures[question.signature]) else "made-up numbers"
    other = ", and the live version's is not" if _is_a_number(context, question) else ""
    return f"{question} is NaN or infinite for {what}{other}"


def _must_be_a_number(context: Context, question: Question, mixed: Mixed) -> bool:
    """Whether an output must give numbers for rows that nobody knows whether it takes them.

    It must where the live version does. One that never gave a number is broken, unless it takes what cannot be made up.
    """
    known = context.replay is not None and question.signature in context.replay.signatures
    texts = any(each.dtype == "DT_STRING" for each in context.signatures[question.signature].inputs.values())
    return _is_a_number(context, question) or (mixed.never_finite and not known and not texts)


def _is_a_number(context: Context, question: Question) -> bool:
    """Whether the live version gives numbers there."""
    live = context.live.mixed.get(question.signature, {}) if context.live else {}
    return question.output in live and not live[question.output].doubtful and not live[question.output].not_finite


def _not_row_wise(context: Context, name: str) -> Iterator[str]:
    if name not in context.signatures:
        yield f"its manifest declares {name} row-wise, which it does not have"
        return
    mixed = context.survey.mixed.get(name)
    if mixed is None:
        reason = context.survey.unmixed.get(name, context.survey.failed.get(name, "it was not asked"))
        yield f"its manifest declares {name} row-wise, but it cannot be asked in company: {reason}"
        return
    for alias, each in mixed.items():
        start = f"its manifest declares {name} row-wise, but {alias}"
        if set(each.per_image) != set(each.asked) or len(each.asked) == 1:
            yield f"{start} has not one row for each row of its input"
        elif _changes(each):
            yield f"{start} changes from request to request{_by(each.changes)}, so nobody can tell"
        elif each.apart > rounding(each.kind):
            yield f"{start} of a row depends on the rows beside it{_by(each.apart)}"


def _wrong_counts(context: Context) -> Iterator[str]:
    wanted = context.survey.classes
    if not wanted:
        return
    promised = context.promised
    told = set()
    for question, each in _everything(context):
        widths = set(each.widths) if isinstance(each, Mixed) else {each.width}
        if question in promised and question not in told and widths != {wanted}:
            told.add(question)
            found = " or ".join("no row of numbers" if n < 0 else f"{n} numbers" for n in sorted(widths))
            yield f"{question} gives {found} for an image, and there are {wanted} classes"


def _is_uneven(each: Mixed) -> bool:
    """Whether it has a row for each image in some batches and not in others; one alone may be chance."""
    return len(each.per_image) > 1 and set(each.per_image) != set(each.asked)


def _constant(context: Context, sheet: Sheet) -> Iterator[tuple[Question, Output]]:
    live = dict(_outputs(context.live, sheet)) if context.live else {}
    lively = any(output.varies for _, output in _outputs(context.survey, sheet))
    if lively and len(set(sheet.labels)) == 1:
        return  # To images of one class a sure version may give one and the same label and probability of 1.
    for name, each in context.survey.answers.get(sheet.whose, {}).items():
        judged = {Question(name, alias): one for alias, one in each.items() if one.per_image and not one.not_finite}
        numbers = {question: one for question, one in judged.items() if one.kind.startswith(_FLOATS)}
        dead = not any(one.varies for one in numbers.values())
        for question, one in judged.items():
            classes = len(one.rows) > 0 and one.width > 1
            moves = question in live and live[question].varies
            if not one.varies and (moves or classes or (dead and question in numbers)):
                yield question, one


def _changes(each: Mixed) -> bool:
    return each.changes > rounding(each.kind)


def _outputs(survey: Survey, sheet: Sheet) -> Iterator[tuple[Question, Output]]:
    for name, outputs in survey.answers.get(sheet.whose, {}).items():
        for alias, output in outputs.items():
            yield Question(name, alias), output


def _mixed(survey: Survey) -> Iterator[tuple[Question, Mixed]]:
    for name, outputs in survey.mixed.items():
        for alias, mixed in outputs.items():
            yield Question(name, alias), mixed


def _everything(context: Context) -> Iterator[tuple[Question, Output | Mixed]]:
    for sheet in context.sheets:
        yield from _outputs(context.survey, sheet)
    yield from _mixed(context.survey)


def _by(share: float) -> str:
    return f" (by {share:.2g} of the largest number)" if share != float("inf") else ""


def _in_batches(sizes: Sequence[int]) -> str:
    return "alone" if list(sizes) == [1] else f"in batches of {_sizes(sizes)}"


def _sizes(sizes: Sequence[int] | set[int]) -> str:
    found = sorted(sizes)
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]} to {found[-1]}"
    return " and ".join(map(str, found))


def _reasons(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
