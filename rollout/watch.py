"""The drop watcher: notices what is copied into drop/<Model>/ and waits until it is whole and quiet.

It takes up trainings that are staged in a base path as well, and notes in the ledger what is put there by hand. The
system's own notification (inotify through watchdog) wakes it; where that cannot be had it polls. A slow look
round goes on in any case, because some shared file systems swallow notifications.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from bundle.errors import BundleError
from bundle.models_config import base_paths
from bundle.settings import Settings
from rollout import release, trainings
from rollout.candidate import Finding, Fingerprint, Wholeness, examine, fingerprint
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.interrupt import Interrupted, Interruption
from rollout.model import Model
from rollout.postponed import Postponed
from rollout.trainings import Mark

_PENDING_TICK_S = 0.25
_IDLE_TICK_S = 2.0
_PROVEN_QUIET_S = 0.5
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})

log = logging.getLogger("drop")


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
            self._alive_file.touch()
        try:
            self._open_boxes()
        except BundleError as error:
            return self._warn_once(f"{error}; nothing is taken from the drop folders until that is mended")
        except OSError as error:
            return self._warn_once(f"cannot look after the drop folders: {error}; trying again")
        seen = set()
        for box in list(self._boxes.values()):
            try:
                self._catch_up(box.model)
                self._take_up_trainings(box.model)
            except Interrupted:
                return log.info("interrupted; a training of %s waits for the next start", box.model.name)
            for entry in list(box.entries()):
                if self.stopping.is_set():
                    return None
                seen.add(entry)
                try:
                    self._consider(box, entry)
                except Interrupted:
                    return log.info("interrupted; %s/%s waits for the next start", box.model.name, entry.name)
                except OSError as error:
                    self._put_off(box, entry, error)
        self._waiting = {entry: state for entry, state in self._waiting.items() if entry in seen}
        return None

    def _put_off(self, box: Dropbox, entry: Path, error: OSError) -> None:
        """Try again later what the file system did not let us do; an entry that went away is no trouble."""
        self._waiting.pop(entry, None)
        self._boxes.pop(box.model.name, None)  # Opened anew it puts its claims back.
        if not isinstance(error, FileNotFoundError):
            self._warn_once(f"{box.model.name}/{entry.name}: {error}; trying again")

    def _open_boxes(self) -> None:
        listed = base_paths(self.settings.root / "models.config", self.settings.models_dir)
        for model, base_path in listed.items():
            if not self._is_ours(model, base_path):
                self._boxes.pop(model, None)
                continue
            if model not in self._boxes or self._boxes[model].model.base_path != base_path:
                known = Model(model, base_path, self.settings, self.client)
                self._boxes[model] = Dropbox(known, self.interruption)
                self._boxes[model].recover()
            self._boxes[model].folder.mkdir(parents=True, exist_ok=True)
        for model in set(self._boxes) - set(listed):
            del self._boxes[model]
        for base_path in set(self._marks) - set(listed.values()):
            self._marks.pop(base_path).give_up()
        self.settings.drop_dir.mkdir(parents=True, exist_ok=True)
        for stray in self.settings.drop_dir.iterdir():
            if stray.name not in listed and not stray.name.startswith("."):
                self._warn_once(f"{stray} is left alone: models.config lists no model {stray.name}")
        return

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
                self._warn_once(f"training {name} of {model.name}: {error}; trying again")
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

    def _consider(self, box: Dropbox, entry: Path) -> None:
        if box.has_to_wait(entry):
            self._waiting.pop(entry, None)
            return
        now = time.monotonic()
        looks = fingerprint(entry)
        state = self._waiting.get(entry)
        if state is None or state.looks != looks:
            if state is None:
                log.info("noticed %s/%s; waiting until it is whole and quiet", box.model.name, entry.name)
            self._waiting[entry] = Waiting(looks, now)
            return
        quiet_s = now - state.since
        if quiet_s < _PROVEN_QUIET_S:
            return
        state.finding = state.finding or examine(entry)
        self._decide(box, entry, state.finding, quiet_s)

    def _decide(self, box: Dropbox, entry: Path, finding: Finding, quiet_s: float) -> None:
        whole = finding.wholeness
        if whole is Wholeness.INCOMPLETE:
            if quiet_s >= self.settings.drop_incomplete_seconds:
                box.refuse(entry, finding.problem)
        elif whole is Wholeness.PROVEN or quiet_s >= self.settings.drop_quiet_seconds:
            self._on_disk.pop(box.model.name, None)
            box.accept(entry)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)


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
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    watcher = Watcher(settings, client, alive_file)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.stop())
    log.info("watching %s", settings.drop_dir)
    watcher.run()
    log.info("stopped")
    return 0
