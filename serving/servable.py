"""One loaded version of a model: a TensorFlow session, or a Lite interpreter, that answers by tensor name."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from serving import extra_ops, memory, metrics, opening, savedmodel, tflite, warmup
from serving.batching.choice import Batching
from serving.batching.dynamic import DynamicRunner
from serving.batching.later import Later
from serving.batching.stacking import Subject
from serving.predict import Interface

Array = npt.NDArray[Any]

# Loads run side by side. Two threads that begin to import different parts of TensorFlow each hold what the other
# one waits for, and Python then hands out modules that are half initialised.
_importing = threading.Lock()


@dataclass(frozen=True)
class LoadOptions:
    """How SavedModels are loaded; the names follow the server's flags.

    `session_config` is a ConfigProto or None; of `intra_op_threads`, 0 finds out what suits the version,
    of `inter_op_threads` it leaves the choice to TensorFlow. `trial_s` is how long the version may be tried for that;
    with 0 nothing is found out. Without `batching` every request is run by itself.
    """

    tags: frozenset[str] = frozenset({"serve"})
    session_config: Any = None
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    freeze_variables: bool = False
    trial_s: float = 0.0
    prefer_tflite: bool = False
    enable_warmup: bool = True
    warmup_iterations: int = 0
    check_method_names: bool = False
    batching: Batching | None = None


class Runner(Protocol):
    """What computes the tensors of a version."""

    def run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        targets: Sequence[str],
        timeout_s: float | None,
    ) -> list[Array]:
        """Feed, run and fetch by tensor name."""

    def close(self) -> None:
        """Free everything."""


class Servable:
    """A version that can be run from many threads at once."""

    def __init__(self, path: Path, options: LoadOptions, signatures: Mapping[str, Any], runner: Runner) -> None:
        self.path = path
        self.options = options
        self.signatures = signatures
        self.interfaces = {name: Interface(signature) for name, signature in signatures.items()}
        self._runner = runner

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout_s: float | None = None) -> list[Array]:
        """Return the tensors named in `fetches`, computed from `feeds` (tensor name to value).

        Strings are object arrays of bytes. Raises ServingError with the code and text of the kernel that
        failed, or DEADLINE_EXCEEDED after `timeout_s` seconds.
        """
        return self._runner.run(feeds, fetches, (), timeout_s)

    def start(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout_s: float | None, later: Later
    ) -> Callable[[], None] | None:
        """As `run`, but without waiting: `later.done` gets the tensors or the ServingError.

        Returns what to call after `timeout_s`, if that is not looked after.
        """
        if isinstance(self._runner, DynamicRunner):
            return self._runner.start(feeds, fetches, timeout_s, later)
        later.run(self._runner.run, feeds, fetches, (), timeout_s)
        return None

    def close(self) -> None:
        """Free the session and its variables; the caller makes sure that no request is running."""
        self._runner.close()


def load(path: Path, options: LoadOptions, model: str = "", version: int = 0) -> Servable:
    """Load the SavedModel in `path` and warm it up; `model` and `version` are what logs and metrics call it.

    Raises ServingError with the real server's texts when it cannot be loaded, or when a warm-up request fails.
    """
    started = time.monotonic()
    with _importing:
        _import_tensorflow()
    try:
        servable = _load(Subject(model, version, path), options)
    except BaseException:
        metrics.loaded(str(path), 0.0, succeeded=False)
        raise
    metrics.loaded(str(path), time.monotonic() - started, succeeded=True)
    if options.enable_warmup:
        try:
            warmup.replay(servable, path, options.warmup_iterations)
        except BaseException:
            servable.close()
            raise
    return servable


@functools.cache
def _import_tensorflow() -> None:
    import tensorflow  # noqa: F401

    extra_ops.load_installed()


def _load(subject: Subject, options: LoadOptions) -> Servable:
    path = subject.path
    if options.prefer_tflite and (path / tflite.FILE).is_file():
        interpreters = tflite.Interpreters(path / tflite.FILE)
        return Servable(path, options, interpreters.signatures, _batched(interpreters, subject, options, None))
    meta_graph = savedmodel.read_meta_graph(path, options.tags)
    session = opening.open_session(path, meta_graph, _config(options), options.freeze_variables, options.trial_s)
    # Reading and optimising a graph takes a multiple of what is left of it. Nothing else can run while it is collected:
    # better now than in the moment of the switch.
    memory.release()
    try:
        runner = _batched(session, subject, options, meta_graph, session.side_by_side)
    except BaseException:
        session.close()
        raise
    signatures = {name: _detached(signature) for name, signature in meta_graph.signature_def.items()}
    return Servable(path, options, signatures, runner)


def _batched(runner: Runner, subject: Subject, options: LoadOptions, meta_graph: Any, side_by_side: int = 1) -> Runner:
    return runner if options.batching is None else options.batching.wrap(runner, subject, meta_graph, side_by_side)


def _detached(message: Any) -> Any:
    """A copy that does not keep the whole graph, of which `message` is a part, in memory."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _config(options: LoadOptions) -> Any:
    from tensorflow.core.protobuf import config_pb2

    config = config_pb2.ConfigProto()
    if options.session_config is not None:
        config.CopyFrom(options.session_config)
    if options.intra_op_threads:
        config.intra_op_parallelism_threads = options.intra_op_threads
    if options.inter_op_threads:
        config.inter_op_parallelism_threads = options.inter_op_threads
    return config
