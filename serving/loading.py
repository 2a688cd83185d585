"""Loading a version in the background: attempts, pauses between them, and what wakes it from a pause."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from serving import memory, sandbox, session
from serving.errors import Code, ServingError
from serving.flags import CPUS, Options
from serving.storage import Fingerprint, fingerprint, flush_caches
from serving.textproto import from_os_error, read

if TYPE_CHECKING:
    from serving.servable import LoadOptions, Servable

log = logging.getLogger(__name__)

# Optimising a graph takes all the CPU it can get; requests for the version that is serving come first.
_POLITE_NICE = 5


class LoadEvents(Protocol):
    """What a load job tells about its progress, from its own thread."""

    def load_started(self, job: LoadJob) -> None:
        """An attempt begins."""

    def load_failed(self, job: LoadJob, error: ServingError, final: bool) -> None:
        """An attempt failed; unless `final`, another one follows."""

    def load_succeeded(self, job: LoadJob, servable: Servable) -> None:
        """The version is ready to be used."""

    def load_cancelled(self, job: LoadJob) -> None:
        """The job has ended because it was cancelled; the last attempt, if there was one, failed."""


class Loader:
    """Loads versions in threads of their own, a limited number at once. Pauses do not count.

    Making one raises ServingError for a session config file that cannot be read.
    """

    def __init__(self, options: Options, events: LoadEvents) -> None:
        self.retries = max(0, options.max_num_load_retries)
        self.pause_s = max(0.0, options.load_retry_interval_micros / 1e6)
        self.permits = threading.Semaphore(options.num_load_threads if options.num_load_threads > 0 else max(2, CPUS))
        self.events = events
        session.start_maker()
        self._load_options = load_options(options)
        self._flush_caches = options.flush_filesystem_caches

    def start(self, model: str, number: int, path: Path, polite: bool) -> LoadJob:
        """Begin to load; a `polite` job leaves the CPU to the requests that are being served."""
        job = LoadJob(self, model, number, path, polite)
        job.thread.start()
        return job

    def load(self, model: str, number: int, path: Path) -> Servable:
        """Load now, in this thread; every failure is a ServingError."""
        from serving import servable

        _check_folder(model, number, path)
        try:
            loaded = servable.load(path, self._load_options, model, number)
        except ServingError as error:
            raise sandbox.explained(error, path) from None
        except OSError as error:
            raise sandbox.explained(from_os_error(error, error.filename or path), path) from None
        except MemoryError:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"Not enough memory to load {path}") from None
        if self._flush_caches:
            flush_caches(path)
        memory.trim()  # The warm-up's largest batch is not what most requests need.
        return loaded


class LoadJob:
    """The way of one version from its folder to a servable."""

    def __init__(self, loader: Loader, model: str, number: int, path: Path, polite: bool) -> None:
        self.model = model
        self.number = number
        self.path = path
        self.tried: Fingerprint | None = None
        self.failure: ServingError | None = None
        self._loader = loader
        self._polite = polite
        self._wake = threading.Event()
        self._cancelled = False
        self._changed = False
        name = f"load-{model}-{number}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def cancel(self) -> None:
        """Do not begin another attempt; the one under way is finished."""
        self._cancelled = True
        self._wake.set()

    def content_changed(self) -> None:
        """End a pause now, with as many attempts ahead as at the beginning."""
        self._changed = True
        self._wake.set()

    def _run(self) -> None:
        if self._polite:
            _lower_priority()
        left = self._loader.retries
        while not self._cancelled:
            self.failure = self._attempt()
            if self.failure is None:
                return
            if left <= 0 and not self._cancelled:
                self._loader.events.load_failed(self, self.failure, final=True)
                return
            if not self._cancelled:
                left = self._pause(self.failure, left)
        self._loader.events.load_cancelled(self)

    def _attempt(self) -> ServingError | None:
        with self._loader.permits:
            if self._cancelled:
                return self.failure or ServingError(Code.CANCELLED, "The version is not wanted any more")
            self._changed = False
            self._wake.clear()
            self.tried = fingerprint(self.path)
            self._loader.events.load_started(self)
            started = time.monotonic()
            try:
                servable = self._loader.load(self.model, self.number, self.path)
            except ServingError as error:
                return ServingError(error.code, error.message)
            except Exception as error:
                log.exception("Loading %s version %d failed unexpectedly", self.model, self.number)
                return ServingError(Code.INTERNAL, f"Loading {self.path} failed: {error}")
        log.info("Loaded %s version %d in %.1f s", self.model, self.number, time.monotonic() - started)
        self._loader.events.load_succeeded(self, servable)
        return None

    def _pause(self, failure: ServingError, left: int) -> int:
        """Wait for the next attempt; returns how many attempts are left after it."""
        log.warning(
            "Loading %s version %d failed, next attempt in %g s (%d left): %s",
            self.model,
            self.number,
            self._loader.pause_s,
            left,
            failure,
        )
        self._loader.events.load_failed(self, failure, final=False)
        self._wake.wait(self._loader.pause_s)
        if self._changed and not self._cancelled:
            log.info("The content of %s has changed: loading it again", self.path)
            return self._loader.retries
        return left - 1


def load_options(options: Options) -> LoadOptions:
    """Translate flags into what the loader takes; raises ServingError for a bad session config file."""
    from serving.batching import choice
    from serving.servable import LoadOptions

    shared = options.tensorflow_session_parallelism
    return LoadOptions(
        tags=frozenset(options.saved_model_tags.split(",")),
        session_config=_session_config(options),
        intra_op_threads=shared or options.tensorflow_intra_op_parallelism,
        inter_op_threads=shared or options.tensorflow_inter_op_parallelism,
        freeze_variables=options.freeze_variables,
        trial_s=options.load_trial_seconds,
        prefer_tflite=options.prefer_tflite_model,
        enable_warmup=options.enable_model_warmup,
        warmup_iterations=options.num_request_iterations_for_warmup,
        check_method_names=options.enable_signature_method_name_check,
        batching=choice.from_options(options),
    )


def _session_config(options: Options) -> Any:
    if not options.tensorflow_session_config_file:
        return None
    from tensorflow.core.protobuf import config_pb2

    return read(options.tensorflow_session_config_file, config_pb2.ConfigProto)


def _check_folder(model: str, number: int, path: Path) -> None:
    try:
        next(path.iterdir(), None)
    except OSError as error:
        cause = from_os_error(error, path)
        text = f"{{name: {model} version: {number}}}: {cause.message}"
        failed = f"Error while attempting to reserve resources to load servable {text}"
        raise sandbox.explained(ServingError(cause.code, failed), path) from None


def _lower_priority() -> None:
    with contextlib.suppress(AttributeError, OSError):  # not on every system
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _POLITE_NICE)
