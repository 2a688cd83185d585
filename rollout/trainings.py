"""Trainings that are staged in a base path: who releases them, and what became of them.

A finished training lies in its base path as `.trained-<name>`, whole, under a name that no server looks at. Whoever
releases it holds its claim, a lock that the kernel frees: the command that had it trained, or the drop watcher, which
takes up every one that nobody claims, or else the trainer as its last step. Its release is one rename of the very
folder that was checked, so that no kill publishes one twice, and what is refused goes to quarantine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bundle import files, output, publish
from bundle.errors import BundleError, RefusedVersion, UncheckedVersion
from bundle.models_config import base_path_of
from bundle.publish import CLAIM_PREFIX, TRAINED_PREFIX, Version
from bundle.settings import Settings
from rollout import labels, ledger, stack
from rollout import model as models
from rollout import release as releases
from rollout.gate import queue
from rollout.interrupt import Interruption
from rollout.model import Model
from rollout.postponed import Postponed, Postponements, tries_over
from rollout.trouble import in_words

ORIGIN = "training"
KEPT = "trained"
"""Folder of a run that holds its training as long as it is not staged."""
_WATCHER_LOCK = ".drop-watcher.lock"
_PAUSE_S = 0.2
_SAY_AGAIN_S = 60.0


def new_name() -> str:
    """A name that no other training has."""
    return f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{uuid.uuid4().hex[:8]}"


def folder_of(base_path: Path, name: str) -> Path:
    """Where the training of that name is staged."""
    return base_path / f"{TRAINED_PREFIX}{name}"


def staged(base_path: Path) -> list[str]:
    """The names of the trainings that wait in a base path, in the order in which they came."""
    found = [path for path in base_path.glob(f"{TRAINED_PREFIX}*") if (path / "saved_model.pb").is_file()]
    return [path.name.removeprefix(TRAINED_PREFIX) for path in sorted(found, key=_came)]


def _came(path: Path) -> tuple[int, str]:
    return path.stat().st_ctime_ns, path.name


def kept_in_runs(runs_dir: Path) -> list[Path]:
    """Trainings that could not be staged, or whose trainer was killed before it did."""
    found = [graph.parent for graph in sorted(runs_dir.glob(f"*/{KEPT}/saved_model.pb"))]
    return [folder for folder in found if not _is_at_work(folder.parent)]


def _is_at_work(run: Path) -> bool:
    lock = run / ".lock"
    return lock.is_file() and files.is_held(lock)


def find(settings: Settings) -> Model:
    """The model whose training is staged; with the server that `make up` started when that reads the same base path.

    A container without the docker command cannot see the others: its own folders count.
    """
    base_path = base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)
    engine = stack.remembered(settings)
    if engine is not None and (engine.name == "local" or shutil.which("docker")):
        found = models.served(settings, stack.running(settings))
        if found.base_path == base_path:
            return found
    return Model(settings.model_name, base_path, settings, None)


class Mark:
    """The mark of a drop watcher on a base path: a lock that the kernel takes away when the watcher dies."""

    def __init__(self, base_path: Path) -> None:
        self._base_path = base_path
        self._held = contextlib.ExitStack()
        self._has = False

    def renew(self) -> bool:
        """Whether this watcher looks after the base path: it marks what is free, and gives up what it cannot use.

        A base path that cannot be written has no mark, and nobody else has one there either.
        """
        lock = self._base_path / _WATCHER_LOCK
        if self._has and lock.is_file() and files.is_held(lock) and not files.why_not_writable(self._base_path):
            return True
        self.give_up()
        with contextlib.suppress(BundleError, OSError):
            publish.prepare(self._base_path)
            self._has = self._held.enter_context(files.try_lock(lock))
            return self._has
        return True

    def give_up(self) -> None:
        """Take the mark away."""
        self._held.close()
        self._has = False


def has_watcher(base_path: Path) -> bool:
    """Whether a drop watcher that is alive looks after a base path."""
    lock = base_path / _WATCHER_LOCK
    return lock.is_file() and files.is_held(lock)


@contextlib.contextmanager
def claimed(base_path: Path, name: str) -> Iterator[bool]:
    """Have the training of that name to oneself, for as long as the block runs; False when another process has."""
    path = base_path / f"{CLAIM_PREFIX}{name}"
    with files.try_lock(path) as mine:
        try:
            yield mine
        finally:
            if mine:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def to_itself(base_path: Path, name: str) -> Iterator[None]:
    """The same, after who is at it already."""
    while True:
        with claimed(base_path, name) as mine:
            if mine:
                yield
                return
        time.sleep(_PAUSE_S)


def why_waiting(model: Model, name: str) -> str:
    """What a staged training waits for; changes nothing."""
    claim = model.base_path / f"{CLAIM_PREFIX}{name}"
    note = Postponements(model.base_path).of(name, name)
    if claim.is_file() and files.is_held(claim):
        return "it is being released"
    if note is not None:
        return note.in_words()
    if labels.is_pinned(model):
        return "it waits for the end of the canary"
    return "the drop watcher takes it up" if has_watcher(model.base_path) else "no drop watcher takes it up"


def release(model: Model, name: str, order: releases.Order | None = None) -> Version:
    """Release a staged training through the gate, as `order` says where it matters. Call with its claim.

    A refused one goes to quarantine with its reason; whatever else goes wrong, it stays where it is.
    """
    folder = folder_of(model.base_path, name)
    order = dataclasses.replace(order or releases.Order(folder, ORIGIN), source=folder, origin=ORIGIN, training=name)
    try:
        version = releases.release(model, order)
    except releases.Refused as error:
        raise RefusedVersion(f"{error}; {refuse(model, name, error.reason)}") from error
    Postponements(model.base_path).forget(name)
    return version


def refuse(model: Model, name: str, reason: str) -> str:
    """Move a staged training to quarantine with its reason; returns where it is, and how it comes from there."""
    model.quarantine.mkdir(parents=True, exist_ok=True)
    target = publish.free_name(model.quarantine, f"training-{name}")
    text = f"a training of {model.name} was refused: {reason}\n"
    files.write_atomically(target.with_name(f"{target.name}.reason.txt"), text)
    publish.move(folder_of(model.base_path, name), target)
    Postponements(model.base_path).forget(name)
    return f"it is kept in {target}; to try again: make publish FROM={target}"


@contextlib.contextmanager
def kept(model: Model, name: str) -> Iterator[None]:
    """Say where the training is when the block ends otherwise than with its release."""
    try:
        yield
    except BaseException:
        folder = folder_of(model.base_path, name)
        if folder.is_dir():
            by_itself = "; the drop watcher tries it again" if has_watcher(model.base_path) else ""
            output.warn(f"the training is kept in {folder}; release it: make publish FROM={folder}{by_itself}")
        raise


def release_now(model: Model, name: str, order: releases.Order | None = None) -> Version:
    """Release a staged training in this process, after who is at it already; says where it is when that fails."""
    with kept(model, name), to_itself(model.base_path, name):
        return release(model, name, order)


def deliver(model: Model, name: str) -> None:
    """Return once a staged training is live, or published where no server runs; raises as a release does.

    The drop watcher releases it where there is one, else this process does; also when the watcher dies meanwhile.
    """
    if has_watcher(model.base_path):
        output.step("the drop watcher releases it: it sees the server")
    said = time.monotonic()
    while True:
        with claimed(model.base_path, name) as mine:
            if mine and _is_settled(model, name):
                return _tell(model, name)
            if mine:
                labels.require_none(model)
            if mine and not has_watcher(model.base_path):
                release(model, name)
                if model.client is None:
                    output.line("no server was asked: none runs, or none is seen from here; to serve it: make up")
                return None
        if time.monotonic() - said > _SAY_AGAIN_S:
            said = time.monotonic()
            output.step("still waiting for the drop watcher; what it does: make logs")
        time.sleep(_PAUSE_S)


def _is_settled(model: Model, name: str) -> bool:
    """Whether it is decided, or put off. Call with its claim."""
    gone = not folder_of(model.base_path, name).is_dir()
    return gone or Postponements(model.base_path).of(name, name) is not None


def _tell(model: Model, name: str) -> None:
    """Say what became of a training, from the ledger; raises as the release did."""
    entries = model.ledger.entries()
    own = [number for number, entry in enumerate(entries) if entry.training == name]
    if not own:
        raise BundleError(f"somebody took the training {folder_of(model.base_path, name)} away")
    version = entries[own[-1]].version
    last = [entry for entry in entries[own[0] :] if entry.training == name or (version and entry.version == version)][
        -1
    ]
    what = f"version {version}" if version else "the training"
    if last.event == ledger.UNCHECKED:
        note = Postponements(model.base_path).of(name, name)
        raise UncheckedVersion(f"the training: {note.in_words() if note else last.reason}; nothing was published")
    if last.event in (ledger.REFUSED, ledger.FAILED, ledger.ROLLED_BACK):
        raise RefusedVersion(f"{what} was refused: {last.reason}; it is kept in {model.quarantine}")
    if last.event in (ledger.PUBLISHING, ledger.PUBLISHED):
        raise BundleError(f"{what} is published, but the drop watcher did not see it answer: make status")
    output.step(f"{model.name} {what} is AVAILABLE")


def take_up(model: Model, name: str, interruption: Interruption) -> Version | Postponed | None:
    """Release a training that nobody claims; None when it has to wait, a note when it is put off.

    Raises as `release` does when it is refused, or published and not seen.
    """
    notes = Postponements(model.base_path)
    folder = folder_of(model.base_path, name)
    with claimed(model.base_path, name) as mine:
        note = notes.of(name, name)
        waits = note is not None and not note.is_due(time.time(), queue.is_there(model.settings))
        if not mine or waits or labels.is_pinned(model) or not folder.is_dir():
            return None
        try:
            return release(model, name, releases.Order(folder, ORIGIN, interruption=interruption))
        except BundleError as error:
            if not folder.is_dir():
                raise
            return _put_off(model, name, note, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other trainings and drops go on
            return _put_off(model, name, note, BundleError(in_words(error)))


def _put_off(model: Model, name: str, note: Postponed | None, error: BundleError) -> Postponed:
    over = tries_over(note, error)
    if over:
        with contextlib.suppress(OSError):  # Then it is tried again after the longest pause.
            raise RefusedVersion(f"the training {name} is refused: {over}; {refuse(model, name, over)}") from error
    tries = note.tries if note else 0
    return Postponements(model.base_path).put_off(name, name, error, model.settings.check_retry_seconds, tries)
