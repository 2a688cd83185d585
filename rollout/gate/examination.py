"""The examination of one candidate: every check in its order, each with a finding.

The candidate and the live version are held by two processes, so that the one cannot touch the other. A check that
shows that the candidate cannot be run ends the examination; else all are made, so that a report says all at once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bundle import manifest
from bundle.settings import Settings
from bundle.values import in_bytes
from rollout import candidate as candidates
from rollout.candidate import Wholeness
from rollout.gate import answers, cure, graph, heldout, layout, meaning, measuring, room, soundness, speed, survey
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.answers import Answered
from rollout.gate.heldout import HeldOut
from rollout.gate.process import Died, Failed, Unfinished, Worker
from rollout.gate.report import Finding, Report, Verdict
from rollout.gate.signatures import common
from rollout.gate.soundness import Context
from rollout.gate.survey import Sheet, Survey
from rollout.gate.version import Description, MadeWarmup, Replay, Version

WARMUP = Path(manifest.FOLDER, "tf_serving_warmup_requests")

_TIMED_IMAGES = 16
_WARMUP_IMAGES = 32
_TRY_AGAIN = "check it again when the machine has more time and memory to spare, or raise the limit"


class Ended(Exception):
    """The candidate cannot be examined any further; what it failed is among the findings."""


def examine(
    folder: Path,
    live: Path | None,
    settings: Settings,
    allow_change: bool,
    allow_unmeasured: bool,
    allowance: Allowance = NOTHING,
    held_out: Path | None = None,
) -> Report:
    """The report on the SavedModel in `folder`, measured with the set in `held_out`, else with the live version's."""
    found = candidates.examine(folder)
    if found.wholeness is Wholeness.INCOMPLETE:
        return Report.of([Finding("files", "failed", found.problem, "copy the whole version folder again")])
    memory = in_bytes(settings.check_memory)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-held-out-")))
        source = held_out or live
        kept = heldout.read(source, scratch) if source is not None else None
        worker = stack.enter_context(Worker(folder, settings.check_timeout_seconds, memory))
        examination = Examination(Version(folder, worker), kept, settings, allow_change, allow_unmeasured, allowance)
        examination.add(Finding("files", "passed", found.wholeness.value))
        if live is not None:
            other = stack.enter_context(Worker(live, settings.check_timeout_seconds, memory))
            examination.compare_with(Version(live, other))
        with contextlib.suppress(Ended):
            examination.run()
    return Report.of(examination.findings, examination.made, examination.answered)


class Examination:
    """One candidate, the live version if there is one that answers, the kept set, and what was found so far."""

    def __init__(
        self,
        candidate: Version,
        kept: HeldOut | None,
        settings: Settings,
        allow_change: bool,
        allow_unmeasured: bool,
        allowance: Allowance = NOTHING,
    ) -> None:
        self.candidate = candidate
        self.kept = kept
        self.live: Version | None = None
        self.live_classes: tuple[str, ...] = ()
        self.findings: list[Finding] = []
        self.made: Path | None = None
        self.answered: list[Answered] = []
        self._settings = settings
        self._allow_change = allow_change
        self._allow_unmeasured = allow_unmeasured
        self._allowance = allowance
        self._candidate_bytes = 0.0
        self._live_bytes = 0.0
        self._lost_live = False

    def compare_with(self, live: Version) -> None:
        """Measure the candidate against a version; one that names no classes has those of the kept set."""
        self.live = live
        known = live.manifest or self.kept
        self.live_classes = known.classes if known is not None else ()

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
        replay = self._warm_up()
        self._look_at_answers(description, live, replay)
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
        self._lost_live = True

    def _compare_classes(self) -> None:
        own, live = self.candidate.manifest, self.live_classes
        if own is not None and live:
            self.add(graph.classes(own.classes, live, self._allow_change))

    def _load(self) -> None:
        with self._or_end("loads", "it does not load"):
            cost = self.candidate.load()
        self._candidate_bytes += cost.bytes
        self.add(Finding("loads", "passed", f"in {cost.seconds:.2f} s", figures={"seconds": cost.seconds}))

    def _warm_up(self) -> Replay | None:
        if not (self.candidate.folder / WARMUP).exists():
            self._make_warmup()
            return None
        remedy = f"write {WARMUP} again, or remove it: the gate makes one"
        with self._or_end("warmup", "its warm-up requests fail", remedy):
            replay = self.candidate.warm_up()
        self._candidate_bytes += replay.bytes
        detail = f"{replay.records:.0f} requests answered in {replay.seconds:.2f} s"
        figures = {"records": replay.records, "seconds": replay.seconds}
        self.add(Finding("warmup", "passed", detail, figures=figures))
        return replay

    def _make_warmup(self) -> None:
        images = self._images(_WARMUP_IMAGES)
        with self._or_end("warmup", "it does not answer"):
            made = self.candidate.make_warmup(self._settings.model_name, images)
        without = "; ".join(f"none for {name}: {why}" for name, why in made.without.items())
        if not made.records:
            return self.add(Finding("warmup", "noted", f"it has no warm-up requests; none could be made ({without})"))
        self.made = _write(made)
        detail = f"it had no warm-up requests; {made.records} were made" + (f" ({without})" if without else "")
        return self.add(Finding("warmup", "passed", detail, figures={"records": made.records}))

    def _images(self, most: int) -> list[Path]:
        """Some images, the candidate's own if it has any."""
        held_out = self.candidate.held_out or self.kept
        return [each.image for each in held_out.examples[:most]] if held_out else []

    def _look_at_answers(self, description: Description, live: Description | None, replay: Replay | None) -> None:
        """Ask both versions everything once, and judge what came back."""
        own = self.candidate.manifest.classes if self.candidate.manifest else None
        ours = own or (self.kept.classes if self.kept else self.live_classes)
        theirs = self.live_classes or ours
        sheets = survey.sheets(self.candidate.held_out, self.kept, ours, theirs)
        with self._or_end("answers", "it does not answer"):
            found = survey.take(self.candidate, description.signatures, len(ours), sheets)
        other = self._live_survey(live, len(theirs), sheets)
        context = Context(
            description.signatures,
            found,
            sheets,
            other,
            ours,
            theirs,
            self.candidate.manifest,
            replay,
            description.operations,
            self._lost_live,
        )
        self.add(soundness.finite(context))
        self.add(soundness.outputs(context, self._allow_change))
        self.add(soundness.varied(context))
        self.add(soundness.repeatable(context))
        self.add(soundness.rows(context))
        self.add(measuring.reproduced(context))
        self._measure(context)

    def _live_survey(self, live: Description | None, classes: int, sheets: Sequence[Sheet]) -> Survey | None:
        if self.live is None or live is None:
            return None
        try:
            return survey.take(self.live, live.signatures, classes, sheets)
        except Died as error:
            self._lose_live(error)
            return None

    def _measure(self, context: Context) -> None:
        answered = measuring.answered(context)
        self.answered = [each for each in answered if not each.where]
        if not self.answered:
            return self.add(self._unmeasured())
        self.add(answers.accuracy(answered, self._settings))
        if any(each.live_rows is not None for each in self.answered):
            self.add(answers.agreement(self.answered))
        return self.add(meaning.check(answered, self._settings.max_accuracy_drop, self._allow_change))

    def _unmeasured(self) -> Finding:
        what = "no held-out images fit it, so its accuracy is not known"
        if self.kept is None:
            return Finding("accuracy", "skipped", what)
        if self._allow_unmeasured:
            return Finding("unmeasured", "noted", f"{what}; allowed by --allow-unmeasured")
        remedy = "keep the signatures and classes of the versions before it, or allow it with --allow-unmeasured"
        return Finding("accuracy", "failed", f"{what}, while earlier versions could be measured", remedy)

    def _time(self, signatures: list[str]) -> None:
        images = self._images(_TIMED_IMAGES)
        told = "no signature of both versions can be asked"
        for signature in signatures:
            try:
                if self.live is None:
                    return self.add(speed.alone(self.candidate, signature, images))
                return self.add(speed.compare(self.candidate, self.live, signature, images, self._settings))
            except Failed as error:
                told = f"{signature} cannot be asked without knowing what it takes: {error}"
            except Died as error:
                self.add(Finding("latency", _verdict(error), f"while its time was taken, {error}"))
                raise Ended from None
        return self.add(Finding("latency", "skipped", told))

    @contextlib.contextmanager
    def _or_end(self, check: str, problem: str, remedy: str = "") -> Iterator[None]:
        """Fail `check` with `problem` when the candidate does not do what the block asks of it."""
        try:
            yield
        except (Died, Failed) as error:
            verdict = _verdict(error)
            remedy = (remedy or cure.of(str(error))) if verdict == "failed" else _TRY_AGAIN
            self.add(Finding(check, verdict, f"{problem}: {error}", remedy))
            raise Ended from None


def _verdict(error: Died | Failed) -> Verdict:
    """Whether an end of the worker is the version's doing."""
    return "unchecked" if isinstance(error, Unfinished) else "failed"


def _write(made: MadeWarmup) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gate-made-"))
    (folder / WARMUP).parent.mkdir()
    (folder / WARMUP).write_bytes(made.content())
    return folder
