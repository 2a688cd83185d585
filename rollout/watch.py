"""The drop watcher: looks after drop/<Model>/ of each model in models.config, and has each of them looked into.

The system's own notification (inotify through watchdog) wakes it; where that cannot be had it polls. A slow look
round goes on in any case, because some shared file systems swallow notifications.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from bundle.errors import BundleError
from bundle.models_config import base_paths
from bundle.settings import Settings
from bundle.text import log_of, log_to_stderr
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.lane import Lane
from rollout.model import Model
from rollout.trainings import Mark
from rollout.trouble import in_words

LONGEST_SILENCE_S = 30.0
"""Once a part of a drop watcher has not looked round for longer, it shows no sign of life any more."""

_TICK_S = 2.0
_CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})

log = log_of("drop")


class Watcher:
    """Has a lane for every model of models.config; writes its pid and the time into `alive_file` at each look round."""

    def __init__(self, settings: Settings, client: Client, alive_file: Path | None = None) -> None:
        self.settings = settings
        self.client = client
        self.stopping = threading.Event()
        self._alive_file = alive_file
        self._wake = threading.Event()
        self._lanes: dict[str, Lane] = {}
        self._marks: dict[Path, Mark] = {}
        self._taken: set[Path] = set()
        self._warned: set[str] = set()

    def run(self) -> None:
        """Watch until `stop` is called."""
        self.settings.drop_dir.mkdir(parents=True, exist_ok=True)
        with self._marked(), self._ended(), _observed(self.settings.drop_dir, self._notice):
            while not self.stopping.is_set():
                self._wake.clear()
                self._show_life()
                self._open_what_is_listed()
                for lane in self._lanes.values():
                    lane.start()
                self._wake.wait(_TICK_S)

    def look(self) -> None:
        """Look once, in this thread, at every entry, and act on those that are ready."""
        self._open_what_is_listed()
        for lane in list(self._lanes.values()):
            lane.look()

    def stop(self) -> None:
        """End `run`; a check or a watch that is under way is interrupted."""
        self.stopping.set()
        self._wake.set()
        for lane in list(self._lanes.values()):
            lane.stop()

    def _notice(self, path: str) -> None:
        """Wake the lane of the model that a change in drop/ is about; a change of drop/ itself is for `run`."""
        name = path.removeprefix(f"{self.settings.drop_dir}/").partition("/")[0]
        lane = self._lanes.get(name)
        if lane is None:
            self._wake.set()
        else:
            lane.wake()

    def _show_life(self) -> None:
        now = time.monotonic()
        last_sign = min([now, *(lane.last_sign for lane in self._lanes.values())])
        if self._alive_file is None or now - last_sign > LONGEST_SILENCE_S:
            return
        with contextlib.suppress(OSError):  # A full disk is no reason to stop.
            self._alive_file.write_text(f"{os.getpid()} {last_sign}\n")

    def _open_what_is_listed(self) -> None:
        """Open what is listed now, and close what is not any more."""
        try:
            self._open_lanes()
        except BundleError as error:
            self._warn_once(f"{error}; nothing is taken from the drop folders until that is mended")
        except OSError as error:
            self._warn_once(f"cannot look after the drop folders: {error}; trying again")

    def _open_lanes(self) -> None:
        listed = base_paths(self.settings.root / "models.config", self.settings.models_dir)
        for model, base_path in listed.items():
            if not self._is_ours(model, base_path):
                self._close(model)
                continue
            try:
                self._open(model, base_path)
            except Exception as error:  # noqa: BLE001 - other models do not wait for that
                self._close(model)
                self._warn_once(f"nothing is taken from {self.settings.drop_dir / model}: {in_words(error)}")
        for model in set(self._lanes) - set(listed):
            self._close(model)
        for base_path in set(self._marks) - set(listed.values()):
            self._marks.pop(base_path).give_up()
        self.settings.drop_dir.mkdir(parents=True, exist_ok=True)
        for stray in self.settings.drop_dir.iterdir():
            if stray.name not in listed and not stray.name.startswith("."):
                self._warn_once(f"{stray} is left alone: models.config lists no model {stray.name}")

    def _open(self, model: str, base_path: Path) -> None:
        lane = self._lanes.get(model)
        if lane is not None and lane.box.model.base_path != base_path:
            self._close(model)
            lane = None
        if lane is None and not self.stopping.is_set():
            box = Dropbox(Model(model, base_path, self.settings, self.client))
            box.recover()
            self._lanes[model] = Lane(box, self.settings)
        (self.settings.drop_dir / model).mkdir(parents=True, exist_ok=True)

    def _close(self, model: str) -> None:
        lane = self._lanes.pop(model, None)
        if lane is not None:
            lane.stop()
            lane.join()

    @contextlib.contextmanager
    def _ended(self) -> Iterator[None]:
        try:
            yield
        finally:
            for lane in self._lanes.values():
                lane.stop()
            for lane in self._lanes.values():
                lane.join()

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

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)


class _Wake(FileSystemEventHandler):
    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in _CHANGES:
            self._notice(os.fsdecode(event.src_path))


@contextlib.contextmanager
def _observed(folder: Path, notice: Callable[[str], None]) -> Iterator[None]:
    """Call `notice` with the path of each change below `folder` for as long as the block runs."""
    observer: BaseObserver = Observer()
    observer.schedule(_Wake(notice), str(folder), recursive=True)
    try:
        observer.start()
    except OSError as error:
        log.warning("no notifications from the system (%s); polling %s instead", error, folder)
        observer = PollingObserver(timeout=1)
        observer.schedule(_Wake(notice), str(folder), recursive=True)
        observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def main(settings: Settings, client: Client, alive_file: Path | None) -> int:
    """Run the watcher in the foreground until SIGTERM or Ctrl-C; exit status 0."""
    log_to_stderr()
    # watchdog warns of folders that come and go while it looks.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="watchdog")
    watcher = Watcher(settings, client, alive_file)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.stop())
    log.info("watching %s", settings.drop_dir)
    watcher.run()
    log.info("stopped")
    return 0
