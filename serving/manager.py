"""Which servable answers a request, and what is to be served: the front of the version lifecycle.

Two locks. `_changes` is held while a configuration or the picture of the disk is taken over; that covers file
system calls, so it may be held for long. The lifecycle's own lock guards all state and is held for moments.
Whoever holds the second never takes the first. Requests take neither: they read an immutable view.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from serving import config as models_config
from serving import labels, storage
from serving.config import BasePathMap, ModelSettings, ServerSettings
from serving.errors import Code, ServingError, invalid, not_found
from serving.flags import Options
from serving.lifecycle import Lifecycle
from serving.lookup import Lease, View
from serving.model import Listing, Model
from serving.version import Version, VersionStatus

log = logging.getLogger(__name__)

Confine = Callable[[Iterable[ModelSettings], Collection[Path]], None]


def _anything(_models: Iterable[ModelSettings], _configured: Collection[Path]) -> None:
    """What a file lists is served."""


class Manager:
    """The models of a server. Thread-safe."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._paths = BasePathMap.parse(options.base_path_map)
        self._changes = threading.Lock()
        self._unsettled: set[str] = set()
        self._settings: ServerSettings | None = None
        self._own_paths: set[Path] = set()
        self._life = Lifecycle(options)

    # Requests

    def acquire(self, model: str, version: int | None = None, label: str | None = None) -> Lease:
        """Return a context manager that holds the version asked for; without one, the highest loaded.

        Entering it raises ServingError: NOT_FOUND when it is not loaded, INVALID_ARGUMENT for an unknown label.
        """
        return Lease(self._view, model, version, label)

    def status(self, model: str, version: int | None = None) -> list[VersionStatus]:
        """Return the state of the model's versions, or of the one given, the highest number first.

        Raises ServingError NOT_FOUND when there never was such a version.
        """
        with self._life.lock:
            known = self._life.models[model].versions if model in self._life.models else {}
            chosen = [v.status for number, v in known.items() if version is None or number == version]
        if chosen:
            return sorted(chosen, key=lambda status: -status.version)
        if version is not None:
            raise not_found(f"Could not find version {version} of model {model}")
        raise not_found(f"Could not find any versions of model {model}")

    def known(self, model: str) -> str:
        """The name that `model` is counted under: its own if it is or was listed, else an empty one."""
        return model if model in self._life.models else ""

    def in_flight(self) -> int:
        """How many requests hold a version now."""
        with self._life.lock:
            return sum(loaded.in_use for loaded in self._life.loaded())

    def _view(self) -> View:
        return self._life.view

    # Configuration

    def reload(self, config: Any, timeout_s: float | None = None, confine: Confine = _anything) -> None:
        """Serve what the ModelServerConfig `config` lists, and nothing else; return when its models have loaded.

        `confine` raises ServingError for base paths that are not to be served, told which ones `apply` was given.

        A model is waited for when this configuration has added it, or an earlier one has and its first attempt to load
        is not over. Raises ServingError: for a config that is refused nothing changes; when a model cannot be loaded,
        or is taken off the list by another configuration before it is, or `timeout_s` is over, the rest stays in force.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        settings, loading = self._apply(config, confine)
        self._wait_for(loading, deadline)
        _refuse_request_log(settings)

    def apply(self, config: Any) -> None:
        """Bring `config` into force as `reload` does, and wait for no model."""
        settings, _ = self._apply(config, _anything)
        self._own_paths.update(model.base_path for model in settings.models.values())
        _refuse_request_log(settings)

    def poll(self) -> None:
        """Look at all base paths, load what is new, unload what is gone, retry what has been mended."""
        with self._changes:
            self._scan()

    def _apply(self, config: Any, confine: Confine) -> tuple[ServerSettings, list[Listing]]:
        """Bring `config` into force; returns it with the models that are still to be loaded."""
        with self._changes:
            settings = models_config.check(config, self._settings, self._paths)
            confine(settings.models.values(), self._own_paths)
            if not settings.kind:
                log.info("The config lists nothing: taking no action")
                return settings, []
            self._take_over(settings)
            self._scan()
            with self._life.lock:
                return settings, [self._life.models[name].listing() for name in sorted(self._unsettled)]

    def _take_over(self, settings: ServerSettings) -> None:
        life = self._life
        before = self._settings.models if self._settings else {}
        with life.lock:
            life.labels = labels.updated(
                settings.models,
                life.labels,
                life.is_available,
                self._options.allow_version_labels_for_unavailable_models,
            )
            self._settings = settings
            for name in before.keys() - settings.models.keys():
                log.info("Model %s is not listed any more: unloading it", name)
                life.models[name].configure(None)
                life.advance(life.models[name])
            for name, entry in settings.models.items():
                _note_change(entry, before.get(name))
                life.models.setdefault(name, Model(name)).configure(entry)
            life.publish()
            loading = {name for name in self._unsettled & before.keys() if not life.models[name].settled}
            self._unsettled = (settings.models.keys() - before.keys()) | (loading & settings.models.keys())

    # The disk

    def _scan(self) -> None:
        if self._settings is None or self._options.file_system_poll_wait_seconds < 0:
            return
        for name, settings in self._settings.models.items():
            model = self._life.models[name]
            mended = self._mended(model)
            try:
                found: storage.Scan | ServingError = storage.scan(name, settings.base_path, settings.policy)
            except ServingError as problem:
                found = problem
            with self._life.lock:
                model.take(found)
                model.retry(mended)
                self._life.advance(model)

    def _mended(self, model: Model) -> list[Version]:
        """Return the versions that failed and whose content has changed since, and is not changing now."""
        with self._life.lock:
            failing = [(v, v.job.tried if v.job else v.tried, v.seen) for v in model.versions.values() if v.failing]
        mended = []
        for version, tried, before in failing:
            version.seen = storage.fingerprint(version.path)
            if version.seen == before != tried:
                mended.append(version)
        return mended

    # Waiting and stopping

    def ready(self) -> bool:
        """Whether requests can be taken: at least one model serves, and the others do or cannot for now.

        Raises ServingError when it is certain that none will.
        """
        with self._life.lock:
            models = self._configured()
            if not models:
                return True
            if any(model.available() for model in models):
                return all(model.settled for model in models)
            failures = {model.name: model.failure for model in models}
        broken = {name: why for name, why in failures.items() if isinstance(why, Version)}
        if broken and all(failures.values()):
            raise _did_not_become_available("servable", broken)
        return False

    def wait_for_change(self, timeout_s: float) -> None:
        """Return when a version may have changed its state, or the time is over."""
        with self._life.lock:
            self._life.changed.wait(timeout_s)

    def stop_changing(self) -> None:
        """Load and unload nothing more, and end every reload that is waiting; what serves goes on serving."""
        self._life.stop_changing()

    def shutdown(self, drain_s: float = 0.0) -> int:
        """Unload everything, after at most `drain_s` seconds; returns how many requests were still running."""
        return self._life.shutdown(drain_s)

    def _configured(self) -> list[Model]:
        return [model for model in self._life.models.values() if model.settings is not None]

    def _wait_for(self, listings: list[Listing], deadline: float | None) -> None:
        """Return when every one of them serves; raises ServingError when one does not, or the time is over."""
        life = self._life
        with life.lock:
            while not life.closing and not all(listing.is_decided for listing in listings):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
                life.changed.wait(left)
            broken = {each.name: each.failure for each in listings if each.failure}
            taken = [each.name for each in listings if each.was_taken_off]
        if life.closing:
            raise ServingError(Code.UNAVAILABLE, "The server is shutting down")
        if broken:
            raise _did_not_become_available("model", broken)
        if taken:
            raise _taken_off(taken)


def _note_change(entry: ModelSettings, before: ModelSettings | None) -> None:
    if before is None:
        log.info("Serving model %s from %s", entry.name, entry.base_path)
    elif before.base_path != entry.base_path:
        log.warning(
            "Model %s moves from %s to %s: versions that are loaded stay as they are; to load their new files"
            " remove the model, reload, and add it again",
            entry.name,
            before.base_path,
            entry.base_path,
        )


def _refuse_request_log(settings: ServerSettings) -> None:
    if settings.wants_request_log:
        raise invalid("No request-logger-creator provided.")


def _taken_off(names: list[str]) -> ServingError:
    return ServingError(
        Code.ABORTED,
        f"{len(names)} model(s) were taken off the list before they became available, by another reload or by the"
        f" file that is polled: {', '.join(names)}",
    )


def _did_not_become_available(kind: str, broken: dict[str, Any]) -> ServingError:
    """The real server's text; what is broken is a Version that failed, or why there is none."""
    parts = []
    for name, why in sorted(broken.items()):
        version = f" version: {why.number}" if isinstance(why, Version) else ""
        parts.append(f"{{{{name: {name}{version}}} due to error: {why.code.name}: {why.message}}}, ")
    text = f"{len(broken)} {kind}(s) did not become available: {{{''.join(parts)}}}"
    return ServingError(Code.UNKNOWN, text)
