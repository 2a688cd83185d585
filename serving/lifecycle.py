"""The life of versions: loaded when aspired, shown to requests at once, unloaded after their last request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from serving import lookup, policy, unloading
from serving.errors import ServingError
from serving.flags import Options
from serving.loading import Loader, LoadJob
from serving.lookup import View
from serving.model import Model
from serving.version import Handle, Loaded, State, Version

if TYPE_CHECKING:
    from serving.servable import Servable

log = logging.getLogger(__name__)


class Lifecycle:
    """The models with their versions, and the threads that load and unload them.

    `lock` guards everything here and is held for moments only; `changed` is notified under it whenever a
    version changes its state. `view` may be read without it.
    """

    def __init__(self, options: Options) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.models: dict[str, Model] = {}
        self.labels: lookup.Labels = {}
        self.view = View()
        self.closing = False
        self._loader = Loader(options, self)

    # Called with the lock held

    def advance(self, model: Model) -> None:
        """Take every step that can be taken for `model` now."""
        while not self.closing:
            model.update_aspired()
            action = policy.next_action(version.candidate for version in model.versions.values())
            if action is None:
                break
            version = model.versions[action.version]
            if action.do == "load":
                self._load(version)
            else:
                self._unload(version)
        self.changed.notify_all()

    def publish(self) -> None:
        """Let requests see what is available now."""
        if not self.closing:
            available = {name: model.available() for name, model in self.models.items()}
            self.view = lookup.view_of(available, self.labels)

    def is_available(self, model: str, version: int) -> bool:
        """Whether requests can use the version."""
        return model in self.models and version in self.models[model].available()

    def _load(self, version: Version) -> None:
        version.set(State.START)
        version.seen = None
        polite = bool(self.view.latest)
        version.job = self._loader.start(version.model, version.number, version.path, polite)

    def _unload(self, version: Version) -> None:
        loaded = version.loaded
        if loaded is None:
            raise AssertionError(f"{version} is to be unloaded and is not loaded")
        version.set(State.UNLOADING)
        self.publish()
        log.info("Unloading %s", version)
        unloading.start(loaded, lambda: self._unloaded(version))

    def _unloaded(self, version: Version) -> None:
        with self.lock:
            model = self.models[version.model]
            version.loaded = None
            version.set(State.END)
            log.info("Unloaded %s", version)
            if version.aspired:
                version.path = model.found.get(version.number, version.path)
            self.advance(model)

    # Events of load jobs, called from their threads

    def load_started(self, job: LoadJob) -> None:
        """Show the version as LOADING."""
        with self.lock:
            self._version(job).set(State.LOADING)
            self.changed.notify_all()

    def load_failed(self, job: LoadJob, error: ServingError, final: bool) -> None:
        """Keep the version's error, and let a lower version stand in for it."""
        with self.lock:
            version = self._version(job)
            version.failing = True
            version.tried = job.tried
            if final:
                log.error("Gave up loading %s: %s", version, error)
                version.job = None
                version.set(State.END, error.code, error.message)
            self.advance(self.models[job.model])

    def load_cancelled(self, job: LoadJob) -> None:
        """Note that the version was given up; when it is wanted again it is loaded anew."""
        with self.lock:
            version = self._version(job)
            version.job, version.failing = None, False
            version.set(State.END)
            if job.failure is not None:
                version.set(State.END, job.failure.code, job.failure.message)
            self.advance(self.models[job.model])

    def load_succeeded(self, job: LoadJob, servable: Servable) -> None:
        """Let requests use the version from this moment on, unless a better one is there already."""
        with self.lock:
            version, model = self._version(job), self.models[job.model]
            superseded = not version.aspired and bool(model.available_and_aspired())
            version.job, version.failing = None, False
            version.loaded = Loaded(Handle(job.model, job.number, servable))
            version.set(State.AVAILABLE)
            if not superseded:
                model.note_available()
                log.info("Serving %s", version)
                self.publish()
            self.advance(model)

    def _version(self, job: LoadJob) -> Version:
        return self.models[job.model].versions[job.number]

    # Stopping

    def loaded(self) -> list[Loaded]:
        """Everything that is loaded, also what is being unloaded."""
        versions = [version for model in self.models.values() for version in model.versions.values()]
        return [version.loaded for version in versions if version.loaded is not None]

    def stop_changing(self) -> None:
        """Load and unload nothing more; what serves goes on serving."""
        with self.lock:
            self.closing = True
            for job in self._jobs():
                job.cancel()
            self.changed.notify_all()

    def shutdown(self, drain_s: float) -> int:
        """Take everything down within `drain_s` seconds; returns how many requests were still running then."""
        deadline = time.monotonic() + drain_s
        self.stop_changing()
        with self.lock:
            self.view = View(labels=self.labels)
            loaded = self.loaded()
        for each in loaded:
            each.retire()
        for each in loaded:
            if each.wait_idle(max(0.0, deadline - time.monotonic())):
                each.handle.servable.close()
        return sum(each.in_use for each in loaded)

    def _jobs(self) -> list[LoadJob]:
        versions: list[Mapping[int, Version]] = [model.versions for model in self.models.values()]
        return [v.job for numbered in versions for v in numbered.values() if v.job is not None]
