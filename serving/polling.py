"""Looking at the disk again and again: at base paths, and at models.config."""

from __future__ import annotations

import logging
import threading

from serving import textproto
from serving.config import ModelServerConfig
from serving.errors import ServingError
from serving.manager import Manager

log = logging.getLogger(__name__)


class _Poller:
    """A thread that does something every `period_s` seconds until it is stopped; never when that is 0."""

    def __init__(self, name: str, period_s: float) -> None:
        self._period_s = period_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first time comes after one period."""
        if self._period_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """End; what is being done is not waited for."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            try:
                self._once()
            except Exception:
                log.exception("Polling failed unexpectedly; it goes on")

    def _once(self) -> None:
        raise NotImplementedError


class DiskPoller(_Poller):
    """Keeps the manager's picture of the base paths up to date."""

    def __init__(self, manager: Manager, period_s: float) -> None:
        super().__init__("poll-base-paths", period_s)
        self._manager = manager

    def _once(self) -> None:
        self._manager.poll()


class ConfigPoller(_Poller):
    """Applies models.config again and again; what is wrong with it is logged once and changes nothing."""

    def __init__(self, manager: Manager, path: str, period_s: float) -> None:
        super().__init__("poll-models-config", period_s if path else 0)
        self._manager = manager
        self._path = path
        self._problem = ""

    def _once(self) -> None:
        problem = self._apply()
        if problem and problem != self._problem:
            log.error("%s", problem)
        elif self._problem and not problem:
            log.info("%s is in force again", self._path)
        self._problem = problem

    def _apply(self) -> str:
        try:
            config = textproto.read(self._path, ModelServerConfig)
        except ServingError as error:
            return f"Failed to read ModelServerConfig file: {error.message}"
        try:
            self._manager.apply(config)
        except ServingError as error:
            return f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error.message}"
        return ""
