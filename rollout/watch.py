"""The drop watcher: notices what is copied into drop/<Model>/ and waits until it is whole and quiet.

It takes up trainings that are staged in a base path as well, and notes in the ledger what is put there by hand. The
system's own notification (inotify through watchdog) wakes it; where that cannot be had it polls. A slow look
round goes on in any case, because some shared file systems swallow notifications.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from bundle.errors import BundleError
from bundle.models_config import base_paths
from bundle.settings import Settings
from bundle.text import log_of, log_to_stderr
from rollout import release, trainings
from rollout.candidate import Finding, Fingerprint, Wholeness, arrived, examine, fingerprint
from rollout.client import Client
from rollout.drop import LONGEST_NAME, Dropbox
from rollout.interrupt import Interrupted, Interruption
from rollout.model import Model
from rollout.postponed import Postponed
from rollout.trainings import Mark
from rollout.trouble import Trouble, in_words, is_final

_PENDING_TICK_S = 0.25
_IDLE_TICK_S = 2.0
_PROVEN_QUIET_S = 0.5
# How many times as long as an incomplete entry one is tried again that the file system has trouble with.
_PATIENCE = 4
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})

log = log_of("drop")


@dataclasses.dataclass
class Waiting:
    """A dropped entry that is being waited for: how it looked, and since when it looks like that."""

    looks: Fingerprint
    since: float
    finding: Finding | None = None


class Watcher:
    """Looks after every dropbox of the models in models.config; touches `alive_file` at each look round."""

    def __init__(self, settings: Settings, client: Client, alive_file: Path | None = None) -> None:
        self.settings = settings
        self.client = client
        self.stopping = threading.Event()
        self.interruption = Interruption()
        self._alive_file = alive_file
        self._wake = threading.Event()
        self._waiting: dict[Path, Waiting] = {}
        self._boxes: dict[str, Dropbox] = {}
        self._marks: dict[Path, Mark] = {}
        self._taken: set[Path] = set()
        self._on_disk: dict[str, frozenset[int]] = {}
        self._warned: set[str] = set()
        self._troubles: dict[Path, Trouble] = {}

    def run(self) -> None:
        """Watch until `stop` is called."""
        self.settings.drop_dir.mkdir(parents=True, exist_ok=True)
        with self._marked(), _observed(self.settings.drop_dir, self._wake):
            while not self.stopping.is_set():
                self._wake.clear()
                self.look()
                self._wake.wait(_PENDING_TICK_S if self._waiting else _IDLE_TICK_S)
                if self._waiting:
                    self.stopping.wait(_PENDING_TICK_S)  # A copy under way wakes us at every block it writes.

    def stop(self) -> None:
        """End `run`; called by a signal handler, it interrupts a check or a watch that is under way."""
        self.stopping.set()
        self._wake.set()
        if threading.current_thread() is threading.main_thread():
            self.interruption.request()

    def look(self) -> None:
        """Look once at every entry and act on those that are ready."""
        if self._alive_file is not None:
            with contextlib.suppress(OSError):  # A full disk is no reason to stop.
                self._alive_file.write_text(f"{os.getpid()} {time.monotonic()}\n")
        try:
            self._open_boxes()
        except BundleError as error:
            return self._warn_once(f"{error}; nothing is taken from the drop folders until that is mended")
        except OSError as error:
            return self._warn_once(f"cannot look after the drop folders: {error}; trying again")
        seen: set[Path] = set()
        for box in list(self._boxes.values()):
            try:
                self._catch_up(box.model)
                self._take_up_trainings(box.model)
            except Interrupted:
                return log.info("interrupted; a training of %s waits for the next start", box.model.name)
            except Exception as error:  # noqa: BLE001 - drops, and other models, do not wait for that
                self._warn_once(f"trainings of {box.model.name}: {in_words(error)}")
            seen |= self._look_into(box)
            if self.stopping.is_set():
                return None
        self._waiting = {entry: state for entry, state in self._waiting.items() if entry in seen}
        self._troubles = {entry: trouble for entry, trouble in self._troubles.items() if entry in seen}
        return None

    def _look_into(self, box: Dropbox) -> set[Path]:
        """Act on the entries of a box in the order in which they came; returns those that were there."""
        try:
            present = list(box.entries())
        except OSError as error:
            self._warn_once(f"cannot look into {box.folder}: {in_words(error)}")
            return set()
        whole: list[tuple[tuple[int, list[Any]], Path, bool]] = []
        for entry in present:
            with self._isolated(box, entry):
                may_be_taken = self._is_ready(box, entry)
                if may_be_taken is not None:
                    whole.append(((arrived(entry), _natural(entry.name)), entry, may_be_taken))
        for _, entry, may_be_taken in sorted(whole):
            if self.stopping.is_set() or not may_be_taken:
                break  # Whatever came later is not to overtake it.
            with self._isolated(box, entry):
                self._on_disk.pop(box.model.name, None)
                box.accept(entry)
                self._troubles.pop(entry, None)
        return set(present)

    @contextlib.contextmanager
    def _isolated(self, box: Dropbox, entry: Path) -> Iterator[None]:
        """Let nothing that goes wrong with one entry reach another one, or end the watcher."""
        try:
            yield
        except Interrupted:
            log.info("interrupted; %s/%s waits for the next start", box.model.name, entry.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is that entry's
            self._have_trouble(box, entry, error)

    def _have_trouble(self, box: Dropbox, entry: Path, error: Exception) -> None:
        self._waiting.pop(entry, None)
        _put_claims_back(box)
        if isinstance(error, FileNotFoundError) and not os.path.lexists(entry):
            return
        before = self._troubles.get(entry)
        trouble = Trouble.after(error, before)
        self._troubles[entry] = trouble
        if is_final(error, before, self.settings.drop_incomplete_seconds * _PATIENCE):
            self._refuse_for_good(box, entry, trouble)
        elif before is None or before.reason != trouble.reason:
            log.warning("%s/%s: %s; trying again", box.model.name, entry.name, trouble.reason)

    def _refuse_for_good(self, box: Dropbox, entry: Path, trouble: Trouble) -> None:
        """Have it out of the way, or where that cannot be, leave it alone from now on."""
        try:
            box.refuse(entry, trouble.reason)
            return
        except Exception as error:  # noqa: BLE001 - it is that entry's, as all that went before
            if isinstance(error, FileNotFoundError) and not os.path.lexists(entry):
                return
            _put_claims_back(box)
            if isinstance(error, OSError) and not is_final(error, None, inf):
                self._warn_once(f"{box.model.name}/{entry.name} is to be refused: {in_words(error)}; trying again")
                return
        try:
            box.leave(entry, trouble.reason)
            trouble.due = inf
        except OSError as error:
            self._warn_once(f"cannot write down why {box.model.name}/{entry.name} is refused: {in_words(error)}")

    def _open_boxes(self) -> None:
        listed = base_paths(self.settings.root / "models.config", self.settings.models_dir)
        for model, base_path in listed.items():
            if not self._is_ours(model, base_path):
                self._boxes.pop(model, None)
                continue
            try:
                self._open_box(model, base_path)
            except Exception as error:  # noqa: BLE001 - other models do not wait for that
                self._boxes.pop(model, None)
                self._warn_once(f"nothing is taken from {self.settings.drop_dir / model}: {in_words(error)}")
        for model in set(self._boxes) - set(listed):
            del self._boxes[model]
        for base_path in set(self._marks) - set(listed.values()):
            self._marks.pop(base_path).give_up()
        self.settings.drop_dir.mkdir(parents=True, exist_ok=True)
        for stray in self.settings.drop_dir.iterdir():
            if stray.name not in listed and not stray.name.startswith("."):
                self._warn_once(f"{stray} is left alone: models.config lists no model {stray.name}")
        return

    def _open_box(self, model: str, base_path: Path) -> None:
        if model not in self._boxes or self._boxes[model].model.base_path != base_path:
            known = Model(model, base_path, self.settings, self.client)
            box = Dropbox(known, self.interruption)
            box.recover()
            self._boxes[model] = box
        self._boxes[model].folder.mkdir(parents=True, exist_ok=True)

    def _is_ours(self, model: str, base_path: Path) -> bool:
        """Whether no other watcher looks after the base path; one that only asks whether we do is not waited for."""
        if self._marks.setdefault(base_path, Mark(base_path)).renew():
            self._taken.discard(base_path)
            return True
        if base_path in self._taken:
            self._warn_once(f"another drop watcher looks after {model} in {base_path}; it is left to that one")
        self._taken.add(base_path)
        return False

    @contextlib.contextmanager
    def _marked(self) -> Iterator[None]:
        try:
            yield
        finally:
            for mark in self._marks.values():
                mark.give_up()

    def _catch_up(self, model: Model) -> None:
        """Have the ledger say what was put into the base path, or taken out, without a release."""
        on_disk = frozenset(model.folders())
        if self._on_disk.get(model.name) == on_disk:
            return
        try:
            if release.catch_up(model):
                self._on_disk[model.name] = frozenset(model.folders())
        except (BundleError, OSError) as error:
            self._warn_once(f"cannot note what is in {model.base_path}: {error}")

    def _take_up_trainings(self, model: Model) -> None:
        """Release the trainings that are staged, one after the other; what one raises holds up no other."""
        for name in trainings.staged(model.base_path):
            if self.stopping.is_set():
                return
            try:
                outcome = trainings.take_up(model, name, self.interruption)
            except OSError as error:
                self._warn_once(f"training {name} of {model.name}: {in_words(error)}; trying again")
                continue
            except BundleError as error:
                log.warning("training %s of %s: %s", name, model.name, error)
            else:
                if outcome is None:
                    continue
                if isinstance(outcome, Postponed):
                    log.warning("training %s of %s waits for another try; %s", name, model.name, outcome.in_words())
                else:
                    log.info("training %s of %s is live as version %d", name, model.name, outcome.number)
            self._on_disk.pop(model.name, None)

    def _is_ready(self, box: Dropbox, entry: Path) -> bool | None:
        """Whether `entry` may be taken now; None when it is not whole, so far, or has to wait for another reason."""
        trouble = self._troubles.get(entry)
        if box.has_to_wait(entry) or (trouble is not None and trouble.has_to_wait()):
            self._waiting.pop(entry, None)
            return None
        length = len(os.fsencode(entry.name))
        if length > LONGEST_NAME:
            box.refuse(entry, f"its name has {length} bytes; expected at most {LONGEST_NAME}: rename it")
            return None
        looks, state = fingerprint(entry), self._waiting.get(entry)
        if state is None or state.looks != looks:
            if state is None and trouble is None:
                log.info("noticed %s/%s; waiting until it is whole and quiet", box.model.name, entry.name)
            self._waiting[entry] = Waiting(looks, time.monotonic())
            return None
        quiet_s = time.monotonic() - state.since
        if quiet_s < _PROVEN_QUIET_S:
            return None
        state.finding = state.finding or examine(entry)
        return self._decide(box, entry, state.finding, quiet_s)

    def _decide(self, box: Dropbox, entry: Path, finding: Finding, quiet_s: float) -> bool | None:
        if finding.wholeness is Wholeness.INCOMPLETE:
            if quiet_s >= self.settings.drop_incomplete_seconds:
                box.refuse(entry, finding.problem)
            return None
        return finding.wholeness is Wholeness.PROVEN or quiet_s >= self.settings.drop_quiet_seconds

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)


def _put_claims_back(box: Dropbox) -> None:
    with contextlib.suppress(Exception):  # What is wrong is told by what is tried next.
        box.recover()


def _natural(name: str) -> list[Any]:
    """How names compare when their numbers are compared as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if number % 2 else (0, part) for number, part in enumerate(parts)]


class _Wake(FileSystemEventHandler):
    def __init__(self, wake: threading.Event) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _CHANGES:
            self._wake.set()


@contextlib.contextmanager
def _observed(folder: Path, wake: threading.Event) -> Iterator[None]:
    """Set `wake` at each change below `folder` for as long as the block runs."""
    observer: BaseObserver = Observer()
    observer.schedule(_Wake(wake), str(folder), recursive=True)
    try:
        observer.start()
    except OSError as error:
        log.warning("no notifications from the system (%s); polling %s instead", error, folder)
        observer = PollingObserver(timeout=1)
        observer.schedule(_Wake(wake), str(folder), recursive=True)
        observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def main(settings: Settings, client: Client, alive_file: Path | None) -> int:
    """Run the watcher in the foreground until SIGTERM or Ctrl-C; exit status 0."""
    log_to_stderr()
    watcher = Watcher(settings, client, alive_file)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.stop())
    log.info("watching %s", settings.drop_dir)
    watcher.run()
    log.info("stopped")
    return 0
