"""The examination of one candidate: every check in its order, each with a finding.

The candidate and the live version are held by two processes, so that the one cannot touch the other. A check that
shows that the candidate cannot be run ends the examination; else all are made, so that a report says all at once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bundle import manifest
from bundle.settings import Settings
from bundle.values import in_bytes
from rollout import candidate as candidates
from rollout.candidate import Wholeness
from rollout.gate import answers, graph, layout, room, speed
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.answers import Answered
from rollout.gate.process import Died, Failed, Worker
from rollout.gate.report import Finding, Report
from rollout.gate.signatures import BYTES, LOGITS, PIXELS, Question, common, questions
from rollout.gate.version import Description, Example, MadeWarmup, Version

WARMUP = Path(manifest.FOLDER, "tf_serving_warmup_requests")

_TIMED_IMAGES = 16
_WARMUP_IMAGES = 32


class Ended(Exception):
    """The candidate cannot be examined any further; what it failed is among the findings."""


def examine(
    folder: Path,
    live: Path | None,
    settings: Settings,
    allow_change: bool,
    allow_unmeasured: bool,
    allowance: Allowance = NOTHING,
) -> Report:
    """The report on the SavedModel in `folder`."""
    found = candidates.examine(folder)
    if found.wholeness is Wholeness.INCOMPLETE:
        return Report.of([Finding("files", "failed", found.problem, "copy the whole version folder again")])
    memory = in_bytes(settings.check_memory)
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(Worker(folder, settings.check_timeout_seconds, memory))
        examination = Examination(Version(folder, worker), settings, allow_change, allow_unmeasured, allowance)
        examination.add(Finding("files", "passed", found.wholeness.value))
        if live is not None:
            other = stack.enter_context(Worker(live, settings.check_timeout_seconds, memory))
            examination.live = Version(live, other)
        with contextlib.suppress(Ended):
            examination.run()
    return Report.of(examination.findings, examination.made, examination.answered)


class Examination:
    """One candidate, the live version if there is one that answers, and what was found so far."""

    def __init__(
        self,
        candidate: Version,
        settings: Settings,
        allow_change: bool,
        allow_unmeasured: bool,
        allowance: Allowance = NOTHING,
    ) -> None:
        self.candidate = candidate
        self.live: Version | None = None
        self.findings: list[Finding] = []
        self.made: Path | None = None
        self.answered: list[Answered] = []
        self._settings = settings
        self._allow_change = allow_change
        self._allow_unmeasured = allow_unmeasured
        self._allowance = allowance
        self._candidate_bytes = 0.0
        self._live_bytes = 0.0

    def add(self, finding: Finding) -> None:
        """Note a finding."""
        self.findings.append(finding)

    def run(self) -> None:
        """Make every check; raises Ended when one shows that the others cannot be made."""
        description = self._described()
        live = self._live_ready()
        self.add(graph.signatures(description, live, self._allow_change))
        self._compare_classes()
        self._load()
        self._warm_up()
        self._reproduce(description)
        self._measure(*self._questions(description, live))
        self._time(common(description.signatures, live.signatures if live else description.signatures))
        self.add(room.on_disk(self.candidate.folder, self._settings))
        self.add(room.in_memory(self._candidate_bytes, self._live_bytes, self._settings))

    def _described(self) -> Description:
        self._require(layout.check(self.candidate.folder))
        with self._or_end("loads", "it cannot be read"):
            description = self.candidate.describe()
        self.add(graph.isolation(description))
        self.add(graph.tensorflow(description, self._settings))
        self._require(graph.unambiguous(description))
        self._require(graph.operations(description, self._allowance))
        return description

    def _require(self, finding: Finding) -> None:
        """Note a finding without which nothing of the candidate is run."""
        self.add(finding)
        if finding.verdict == "failed":
            raise Ended

    def _live_ready(self) -> Description | None:
        """Load the live version; when that fails the candidate is examined without it."""
        if self.live is None:
            return None
        try:
            description = self.live.describe()
            self._live_bytes = self.live.load().bytes + self.live.warm_up().bytes
        except (Died, Failed) as error:
            self._lose_live(error)
            return None
        return description

    def _lose_live(self, error: Exception) -> None:
        self.add(Finding("live", "noted", f"the live version does not answer here, so nothing is compared: {error}"))
        self.live = None

    def _compare_classes(self) -> None:
        own, live = self.candidate.manifest, self.live.manifest if self.live else None
        if own is not None and live is not None:
            self.add(graph.classes(own.classes, live.classes, self._allow_change))

    def _load(self) -> None:
        with self._or_end("loads", "it does not load"):
            cost = self.candidate.load()
        self._candidate_bytes += cost.bytes
        self.add(Finding("loads", "passed", f"in {cost.seconds:.2f} s", figures={"seconds": cost.seconds}))

    def _warm_up(self) -> None:
        if not (self.candidate.folder / WARMUP).exists():
            return self._make_warmup()
        remedy = f"write {WARMUP} again, or remove it: the gate makes one"
        with self._or_end("warmup", "its warm-up requests fail", remedy):
            replay = self.candidate.warm_up()
        self._candidate_bytes += replay.bytes
        detail = f"{replay.records:.0f} requests answered in {replay.seconds:.2f} s"
        figures = {"records": replay.records, "seconds": replay.seconds}
        return self.add(Finding("warmup", "passed", detail, figures=figures))

    def _make_warmup(self) -> None:
        images = [example.image for example in self._all_examples()][:_WARMUP_IMAGES]
        with self._or_end("warmup", "it does not answer"):
            made = self.candidate.make_warmup(self._settings.model_name, images)
        without = "; ".join(f"none for {name}: {why}" for name, why in made.without.items())
        if not made.records:
            return self.add(Finding("warmup", "noted", f"it has no warm-up requests; none could be made ({without})"))
        self.made = _write(made)
        detail = f"it had no warm-up requests; {made.records} were made" + (f" ({without})" if without else "")
        return self.add(Finding("warmup", "passed", detail, figures={"records": made.records}))

    def _all_examples(self) -> list[Example]:
        return self.candidate.examples or (self.live.examples if self.live else [])

    def _questions(self, description: Description, live: Description | None) -> tuple[Question | None, Question | None]:
        """What the candidate and the live version are asked with held-out images: the same where that can be."""
        own = questions(description.signatures, self._classes())
        if live is None or self.live is None:
            return (own[0] if own else None), None
        known = self.live.manifest
        theirs = questions(live.signatures, len(known.classes) if known else self._classes())
        shared = [question for question in own if question in theirs]
        own, theirs = shared or own, shared or theirs
        return (own[0] if own else None), (theirs[0] if theirs else None)

    def _classes(self) -> int:
        """How many classes the candidate should tell apart; 0 when nobody says, which no output has."""
        own, live = self.candidate.manifest, self.live.manifest if self.live else None
        known = own or live
        return len(known.classes) if known else 0

    def _reproduce(self, description: Description) -> None:
        document = self.candidate.manifest
        if document is None or not document.examples:
            return self.add(
                Finding("logits", "skipped", "it has no manifest with examples, so nobody says what it must answer")
            )
        wanted = {Question(BYTES, LOGITS), Question(PIXELS, LOGITS)}
        fitting = [each for each in questions(description.signatures, len(document.classes)) if each in wanted]
        if not fitting:
            detail = f"its manifest has logits, but neither {BYTES} nor {PIXELS} has an output {LOGITS} for them"
            return self.add(Finding("logits", "failed", detail, "export it again"))
        images = [example.image for example in self.candidate.examples]
        with self._or_end("logits", "it does not answer the examples of its manifest"):
            rows = {each.signature: np.array(self.candidate.answers(each, images)) for each in fitting}
        return self.add(answers.reproduces(document, rows))

    def _measure(self, question: Question | None, of_live: Question | None) -> None:
        if question is not None:
            sets = {"its own": self.candidate.examples, "the live version": self._lives_examples()}
            if sets["its own"] and _same(self.candidate, self.live):
                del sets["its own"]
            for whose, examples in sets.items():
                if examples:
                    self._ask(whose, examples, question, of_live)
        if not self.answered:
            return self.add(self._unmeasured())
        self.add(answers.accuracy(self.answered, self._settings))
        if any(each.live_rows is not None for each in self.answered):
            self.add(answers.agreement(self.answered))
        return None

    def _ask(self, whose: str, examples: list[Example], question: Question, of_live: Question | None) -> None:
        images = [example.image for example in examples]
        labels = tuple(example.label for example in examples)
        with self._or_end("accuracy", f"it does not answer the held-out images of {whose}"):
            rows = np.array(self.candidate.answers(question, images))
        live_rows = None
        if self.live is not None and of_live is not None:
            try:
                live_rows = np.array(self.live.answers(of_live, images))
            except (Died, Failed) as error:
                self._lose_live(error)
        live_labels = tuple(self._meaning().get(label, label) for label in labels)
        self.answered.append(Answered(whose, tuple(images), labels, rows, live_labels, live_rows))

    def _meaning(self) -> dict[int, int]:
        """Which class index of the live version means the same as one of the candidate's; empty when nobody says."""
        own, live = self.candidate.manifest, self.live.manifest if self.live else None
        if own is None or live is None:
            return {}
        return {n: live.classes.index(name) if name in live.classes else -1 for n, name in enumerate(own.classes)}

    def _lives_examples(self) -> list[Example]:
        """The live version's examples with the candidate's class indices; those of unknown classes are left out."""
        if self.live is None:
            return []
        ours = {theirs: own for own, theirs in self._meaning().items()}
        if not ours:
            return self.live.examples
        return [Example(each.image, ours[each.label]) for each in self.live.examples if each.label in ours]

    def _unmeasured(self) -> Finding:
        what = "no held-out images fit it, so its accuracy is not known"
        if self.live is None or not self.live.examples:
            return Finding("accuracy", "skipped", what)
        if self._allow_unmeasured:
            return Finding("accuracy", "noted", f"{what}; allowed by --allow-unmeasured")
        remedy = "keep the live version's signatures and classes, or allow it with --allow-unmeasured"
        return Finding("accuracy", "failed", f"{what}, while the live version's is", remedy)

    def _time(self, signatures: list[str]) -> None:
        images = [example.image for example in self._all_examples()][:_TIMED_IMAGES]
        told = "no signature of both versions can be asked"
        for signature in signatures:
            try:
                if self.live is None:
                    return self.add(speed.alone(self.candidate, signature, images))
                return self.add(speed.compare(self.candidate, self.live, signature, images, self._settings))
            except Failed as error:
                told = f"{signature} cannot be asked without knowing what it takes: {error}"
            except Died as error:
                self.add(Finding("latency", "failed", f"while its time was taken, {error}"))
                raise Ended from None
        return self.add(Finding("latency", "skipped", told))

    @contextlib.contextmanager
    def _or_end(self, check: str, problem: str, remedy: str = "export it again") -> Iterator[None]:
        """Fail `check` with `problem` when the candidate does not do what the block asks of it."""
        try:
            yield
        except (Died, Failed) as error:
            self.add(Finding(check, "failed", f"{problem}: {error}", remedy))
            raise Ended from None


def _same(candidate: Version, live: Version | None) -> bool:
    """Whether both manifests hold the same images with the same classes."""
    own, theirs = candidate.manifest, live.manifest if live else None
    if own is None or theirs is None or own.classes != theirs.classes or not candidate.examples:
        return False
    return _pictures(own) == _pictures(theirs)


def _pictures(document: manifest.Manifest) -> list[tuple[str, int]]:
    names = {each.image: f"{manifest.FOLDER}/{each.image}" for each in document.examples}
    if not set(names.values()) <= document.files.keys():
        return [("not listed", -1)]
    return sorted((document.files[names[each.image]].sha256, each.label) for each in document.examples)


def _write(made: MadeWarmup) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gate-made-"))
    (folder / WARMUP).parent.mkdir()
    (folder / WARMUP).write_bytes(made.content())
    return folder
