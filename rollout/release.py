"""The one way in which a version goes live: stage, gate, number, rename, see it AVAILABLE, probe, watch.

What is gated is the staged copy, so what was checked is what is published. Whatever goes wrong after the version
went live, it is taken back into quarantine with the reason, and the version before it answers again.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bundle import files, output, publish
from bundle.errors import BundleError, RefusedVersion, UncheckedVersion, UsageError
from bundle.publish import Version
from bundle.versions import highest_ever
from rollout import gate, labels, ledger, observe, probe, reconcile, retention, rollback, waiting, yardstick
from rollout.client import Client, Unreachable
from rollout.interrupt import Interruption
from rollout.model import Model

_LOCK_NAME = ".release.lock"


class Refused(RefusedVersion):
    """The gate turned a candidate down; `reason` is what it said."""

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(f"{origin} was refused: {reason}")
        self.reason = reason


class Unchecked(UncheckedVersion):
    """The gate could not tell about a candidate; `reason` is what it said."""

    def __init__(self, origin: str, reason: str) -> None:
        super().__init__(f"{origin}: {reason}; nothing was published; try again")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Order:
    """What is to be released and how. `origin` is what the ledger says it came from.

    `number` is the version to publish it as, None for the next one; `returns` allows one that was used before.
    `training` is the name that a training is staged under, for the ledger.
    `numbered` is called with the number before the version appears, `published` after. `interruption` may end the
    checks and the watch.
    """

    source: Path
    origin: str
    number: int | None = None
    returns: bool = False
    training: str = ""
    watched: bool = True
    allow_signature_change: bool = False
    allow_unmeasured: bool = False
    allow_ops: tuple[str, ...] = ()
    numbered: publish.Numbered = lambda _: None
    published: Callable[[], None] = lambda: None
    interruption: Interruption = dataclasses.field(default_factory=Interruption)


def check(model: Model, order: Order) -> gate.Report:
    """What the gate says about the source; publishes nothing."""
    with turn(model), _staged(model, order) as staged:
        return _gate(model, order, staged)


def release(model: Model, order: Order) -> Version:
    """Release a SavedModel as the next version of `model`; returns once it answers rightly.

    Raises RefusedVersion when the gate, the server, the probe or the watch turns it down: the version before it is
    live then. Raises UncheckedVersion when the gate cannot tell; nothing was published then. Releases of one model
    wait for each other.
    """
    with turn(model):
        labels.require_none(model)
        _check_number(model, order)
        before = observe.counters(model)
        with _staged(model, order) as staged:
            pass_gate(model, order, staged)
            version = go_live(model, order, staged)
        serve(model, version.number, order)
        if model.client is not None and order.watched:
            watch(model, version.number, before, order.interruption)
        retention.retire_old(model)
    return version


def _staged(model: Model, order: Order) -> contextlib.AbstractContextManager[Path]:
    return publish.staged(order.source, model.base_path, model.quarantine, order.interruption.look_up)


def serve(model: Model, number: int, order: Order) -> None:
    """Return once the version is AVAILABLE and answers as its manifest says; else take it back and raise.

    Raises NotSeen, and leaves the version where it is, when it is the server that does not answer. Without a server
    there is nobody to ask.
    """
    if model.client is None:
        return yardstick.keep(model, number)
    client = model.client
    try:
        try:
            _ask(model, client, number)
        except Unreachable:  # It ended meanwhile; whoever looks after it starts it again.
            _ask(model, client, number)
    except (waiting.LoadFailed, probe.WrongAnswers) as error:
        _still_there(model, number)
        raise _taken_back(model, number, order, str(error)) from error
    except (waiting.NotSeen, Unreachable) as error:
        raise waiting.NotSeen(f"version {number} is published, but nobody saw it answer: {error}") from error
    _note(model, order, ledger.AVAILABLE, number, figures=observe.snapshot(model))
    yardstick.keep(model, number)
    output.step(f"{model.name} version {number} is AVAILABLE at {client.rest_url}")
    return None


def _ask(model: Model, client: Client, number: int) -> None:
    timeout_s = model.settings.ready_timeout_seconds
    waiting.until_available(client, model.name, number, timeout_s, lambda: _still_there(model, number))
    probe.require_right_answers(client, model.name, number, model.base_path / str(number))


def watch(model: Model, number: int, before: observe.Counters | None, interruption: Interruption) -> None:
    """Watch a version that went live, and take it back when it does worse than the one `before`."""
    seconds = model.settings.watch_seconds
    if not seconds or len(model.folders()) < 2:  # Nothing to compare with, and nothing to go back to.
        return
    output.step(f"watching version {number} for {seconds} s")
    try:
        with interruption.allowed():
            observe.watch(model, number, before)
        if model.live() != number:
            output.warn(f"version {number} was taken out while it was watched")
    except observe.Breach as breach:
        raise RefusedVersion(_rolled_back(model, number, breach)) from breach
    except Unreachable as error:
        raise waiting.NotSeen(
            f"version {number} is live, but how it does is not known: while it was watched, {error}"
        ) from error


def _rolled_back(model: Model, number: int, breach: observe.Breach) -> str:
    try:
        back = rollback.roll_back(model, None, f"automatic: {breach}")
    except waiting.NotSeen as error:
        return f"version {number} was taken out: {breach}; {error}"
    return f"version {number} was rolled back to {back}: {breach}"


def _gate(model: Model, order: Order, staged: Path) -> gate.Report:
    live = model.live_folder()
    with order.interruption.allowed():
        report = gate.run(
            staged,
            live,
            model.settings,
            allow_signature_change=order.allow_signature_change,
            allow_unmeasured=order.allow_unmeasured,
            allow_ops=order.allow_ops,
            held_out=yardstick.find(model, live),
        )
    for line in report.table():
        output.line(f"    {line}")
    if report.made is not None:
        files.add(report.made, staged)
        files.remove(report.made)
    return report


def pass_gate(model: Model, order: Order, staged: Path) -> None:
    """Raise Refused unless the gate lets the staged copy pass, UncheckedVersion when it cannot tell.

    Its verdicts go into the ledger. The copy is measured against the version that is live at the end: somebody may
    roll back meanwhile.
    """
    try:
        live, report = model.live(), _gate(model, order, staged)
        while live != model.live():
            live, report = model.live(), _gate(model, order, staged)
    except UncheckedVersion as error:  # There is no gate to ask, or no longer.
        _note(model, order, ledger.UNCHECKED, reason=str(error))
        raise
    verdicts = {finding.name: finding.verdict for finding in report.findings}
    figures = {f"{finding.name}.{name}": x for finding in report.findings for name, x in finding.figures.items()}
    event = ledger.CHECKED if report.passed else ledger.UNCHECKED if report.unchecked else ledger.REFUSED
    allowed = " ".join(f"--allow-op {name}" for name in order.allow_ops)
    reason = "; ".join(filter(None, (allowed, report.reason)))
    _note(model, order, event, reason=reason, verdicts=verdicts, figures=figures)
    if report.unchecked:
        raise Unchecked(order.origin, report.reason)
    if not report.passed:
        raise Refused(order.origin, report.reason_and_cure)


def _note(model: Model, order: Order, event: str, version: int | None = None, **more: Any) -> None:
    """Write a line about what is released into the ledger."""
    model.ledger.append(event, version, origin=order.origin, training=order.training, **more)


def go_live(model: Model, order: Order, staged: Path) -> Version:
    """Publish the staged copy, with a line in the ledger before and after."""

    def numbered(number: int) -> None:
        order.numbered(number)
        _note(model, order, ledger.PUBLISHING, number)

    version = publish.go_live(staged, model.base_path, model.quarantine, numbered, order.number)
    _note(model, order, ledger.PUBLISHED, version.number)
    order.published()
    output.step(f"published {model.name} version {version.number}")
    return version


def _taken_back(model: Model, number: int, order: Order, reason: str) -> RefusedVersion:
    target = publish.withdraw(model.base_path, number, model.quarantine, reason)
    _note(model, order, ledger.FAILED, number, reason=reason)
    return RefusedVersion(f"version {number} was taken back: {reason}; it is in {target}")


def _check_number(model: Model, order: Order) -> None:
    highest = highest_ever(model.base_path, model.quarantine)
    if order.number is not None and order.number <= highest and not order.returns:
        raise UsageError(f"VERSION={order.number} was used already: give a number above {highest}, or none")


def _still_there(model: Model, number: int) -> None:
    try:
        model.check_alive()
    except BundleError as error:
        raise waiting.NotThere(str(error)) from error
    if not (model.base_path / str(number)).is_dir():
        raise BundleError(f"version {number} was taken out of {model.base_path} by somebody else")


@contextlib.contextmanager
def turn(model: Model) -> Iterator[None]:
    """Wait until no other release of this model is under way, and write down what killed ones left to be said."""
    publish.prepare(model.base_path)

    def taken() -> None:
        output.step(f"another release of {model.name} is under way; waiting for it to end")

    with files.lock(model.base_path / _LOCK_NAME, taken):
        _catch_up(model)
        yield


def catch_up(model: Model) -> bool:
    """Write down what happened to versions without these commands; False when a release is under way, which does so."""
    publish.prepare(model.base_path)
    with files.try_lock(model.base_path / _LOCK_NAME) as mine:
        if mine:
            _catch_up(model)
        return mine


def _catch_up(model: Model) -> None:
    labels.sweep(model)
    reconcile.reconcile(model)
