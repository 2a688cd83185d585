"""A canary: a candidate that answers under the label `canary` while everybody else goes on with the live version.

The labels move in the order that the server needs: a version is loaded, seen AVAILABLE, and only then labelled.
Promoting a candidate publishes the same files under its number.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bundle import output, publish
from bundle.errors import RefusedVersion, UsageError
from bundle.pins import Pins
from bundle.publish import Version
from rollout import ledger, observe, probe, release, waiting
from rollout.client import STATUS_TIMEOUT_S, Unreachable
from rollout.labels import CANARY, STABLE, Canary, pin, require_none, under_way
from rollout.model import Model

_INTERRUPTED = "the canary was interrupted"


def start(model: Model, order: release.Order) -> Canary:
    """Have the candidate answer under the label canary; the live version goes on answering everybody else.

    Raises RefusedVersion when the gate, the server or the probe turns it down; nothing has changed then.
    """
    if model.client is None:
        raise UsageError("nothing is running; a canary needs a server: make up")
    with release.turn(model):
        require_none(model)
        live = model.live()
        if live is None:
            raise UsageError(f"{model.base_path} holds no version to compare with; run: make publish")
        with publish.staged(order.source, model.base_path, model.quarantine) as staged:
            release.pass_gate(model, order, staged)
            number = publish.go_live_below(staged, model.base_path, model.quarantine)
        canary = Canary(live, number)
        try:
            _load(model, canary)
        except (waiting.LoadFailed, probe.WrongAnswers) as error:
            where = _take_back(model, canary, str(error)).in_words()
            model.ledger.append(ledger.FAILED, number, origin=order.origin, reason=str(error))
            raise RefusedVersion(f"the candidate was taken back: {error}; {where}") from error
        except (waiting.NotSeen, Unreachable) as error:
            where = _take_back(model, canary, str(error), str(error)).in_words()
            model.ledger.append(ledger.ABORTED, number, origin=order.origin, reason=str(error))
            raise waiting.NotSeen(f"the canary was ended, because nobody saw it answer; {where}") from error
        except BaseException:
            _take_back(model, canary, _INTERRUPTED)
            model.ledger.append(ledger.ABORTED, number, origin=order.origin, reason=_INTERRUPTED)
            raise
        model.ledger.append(ledger.CANARY, number, origin=order.origin, figures=observe.snapshot(model))
    return canary


def promote(model: Model, order: release.Order) -> Version:
    """Make the candidate the live version: both are loaded until it answers under its number.

    One that was cut short is finished. Raises NotSeen when it is done, and nobody saw the server let go of the others.
    """
    with release.turn(model):
        canary = _require(model)
        before = observe.counters(model)
        version = model.folders().get(canary.number)
        if version is None:
            with publish.staged(canary.folder(model), model.base_path, model.quarantine) as staged:
                order = dataclasses.replace(order, number=canary.number)
                version = release.go_live(model, order, staged).path
        unseen = _hand_over(model, canary, order)
        publish.retire(model.base_path, canary.candidate)
        model.ledger.append(ledger.PROMOTED, canary.number)
        if unseen:
            raise waiting.NotSeen(
                f"version {canary.number} is live, but nobody saw the server let go of the others: {unseen}. "
                "See: make status"
            )
        if model.client is not None and order.watched:
            release.watch(model, canary.number, before, order.interruption)
    return Version(canary.number, version)


def _hand_over(model: Model, canary: Canary, order: release.Order) -> str:
    """Have the promoted version answer everybody; returns why nobody saw the others unloaded, empty if seen."""
    pin(model, Pins((canary.live, canary.candidate, canary.number), canary.labels))
    try:
        release.serve(model, canary.number, order)
    except RefusedVersion:
        pin(model, Pins((canary.live, canary.candidate), canary.labels))
        raise
    except (waiting.NotSeen, Unreachable) as error:
        raise waiting.NotSeen(f"{error}. Version {canary.live} goes on; finish it: make promote") from error
    pin(model, Pins((canary.number,), {STABLE: canary.number, CANARY: canary.number}))
    unseen = _why_not_seen_gone(model, {canary.live, canary.candidate} - {canary.number})
    pin(model, None)
    return unseen


def abort(model: Model, reason: str) -> Canary:
    """Take the candidate out of the server and into quarantine; the live version was never touched.

    Raises NotSeen when it is done, and nobody saw the server let go of the candidate.
    """
    with release.turn(model):
        canary = _require(model)
        if canary.number in model.folders():
            raise UsageError(f"version {canary.number} is half promoted; finish that: make promote")
        taken = _take_back(model, canary, reason)
        model.ledger.append(ledger.ABORTED, canary.number, reason=reason, figures=observe.snapshot(model))
        if taken.unseen:
            raise waiting.NotSeen(f"the canary is ended; {taken.in_words()}")
    return canary


def _load(model: Model, canary: Canary) -> None:
    """Load the candidate, then give it its label, in the order that the server needs, then ask it."""
    client, timeout_s = model.client, model.settings.ready_timeout_seconds
    assert client is not None
    pin(model, Pins((canary.live, canary.candidate)))
    waiting.until_available(client, model.name, canary.candidate, timeout_s, model.check_alive)
    pin(model, Pins((canary.live, canary.candidate), canary.labels))
    _until_labelled(model, canary)
    probe.require_right_answers(client, model.name, None, canary.folder(model), CANARY)
    output.step(f"the candidate of version {canary.number} answers at {client.rest_url}/v1/models/{model.name}/labels")


def _until_labelled(model: Model, canary: Canary) -> None:
    """Wait until the server has read the labels: it reads models.config every CONFIG_POLL_SECONDS."""
    client = model.client
    assert client is not None

    def labelled() -> None:
        if not client.within(STATUS_TIMEOUT_S).knows_label(model.name, CANARY):
            raise waiting.NotYet("the server does not take the label")

    timeout_s = model.settings.ready_timeout_seconds
    waiting.poll(labelled, timeout_s, f"the label {CANARY} for {canary.candidate}", model.check_alive)


@dataclasses.dataclass(frozen=True)
class _TakenBack:
    """Where a candidate is now; `unseen` says why nobody saw the server let go of it, and is empty when it was seen."""

    place: Path
    unseen: str

    def in_words(self) -> str:
        if not self.unseen:
            return f"the candidate is in {self.place}"
        return f"the candidate is in {self.place}, but nobody saw the server unload it: {self.unseen}. See: make status"


def _take_back(model: Model, canary: Canary, reason: str, unseen: str = "") -> _TakenBack:
    """Move the candidate to quarantine; with `unseen` the server is known not to answer and not waited for again."""
    pin(model, None)
    unseen = unseen or _why_not_seen_gone(model, {canary.candidate})
    return _TakenBack(publish.withdraw(model.base_path, canary.candidate, model.quarantine, reason), unseen)


def _why_not_seen_gone(model: Model, versions: set[int]) -> str:
    timeout_s = model.settings.ready_timeout_seconds
    return waiting.why_not_seen_gone(model.client, model.name, versions, timeout_s, model.check_alive)


def _require(model: Model) -> Canary:
    canary = under_way(model)
    if canary is None:
        raise UsageError(f"no canary of {model.name} is under way; begin one: make canary FROM=path")
    return canary
