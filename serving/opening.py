"""From a SavedModel folder to the session that answers fastest: frozen where that is safe, on the threads it needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving import freezing, probes, savedmodel, threads
from serving.batching import graph
from serving.errors import ServingError
from serving.probes import Probe
from serving.session import Session
from serving.threads import Plan

log = logging.getLogger(__name__)


def open_session(path: Path, meta_graph: Any, config: Any, freeze: bool) -> Session:
    """A session with variables restored and tables filled.

    `config` is a ConfigProto. A number of threads within operations that it names is kept; otherwise the number that
    suits the version is found out. Raises ServingError when the version cannot be loaded.
    """
    version = _Version(path, meta_graph, config)
    asked = config.intra_op_parallelism_threads
    plan = threads.asked_for(asked) if asked else threads.HEAVY
    reason = freezing.why_not(meta_graph, savedmodel.variables_bytes(path)) if freeze else "it was not asked for"
    if asked and reason:
        return version.plain(plan)
    try:
        trial = version.plain(threads.LIGHT, optimise=False)  # Optimising takes seconds; this answers a few requests.
    except ServingError:
        return version.plain(plan)  # What is wrong is to be told in the words of the optimised graph.
    try:
        tries = probes.of_version(path, meta_graph)
        plan = plan if asked else threads.suiting(trial, tries)
        session = None if reason else version.frozen(trial, plan, tries)
    finally:
        trial.close()
    return session or version.plain(plan)


class _Version:
    """What is read from the folder, and the graph that sessions are made from."""

    def __init__(self, path: Path, meta_graph: Any, config: Any) -> None:
        self._path = path
        self._meta_graph = meta_graph
        self._config = config
        self._feeds = {
            name: np.array(value, dtype=object) for name, value in savedmodel.asset_feeds(path, meta_graph).items()
        }
        self._init = savedmodel.init_op(path, meta_graph)
        signatures = (s for name, s in meta_graph.signature_def.items() if not name.startswith("__"))
        self._repeatable = not any(graph.changes_state(meta_graph, signature) for signature in signatures)

    def plain(self, plan: Plan, optimise: bool = True) -> Session:
        """A session with the variables of the SavedModel."""
        config = self._configured(plan)
        config.graph_options.rewrite_options.disable_meta_optimizer |= not optimise
        return self._ready(Session(self._meta_graph.graph_def, config, plan.runs, self._repeatable), restore=True)

    def frozen(self, plain: Session, plan: Plan, tries: Sequence[Probe]) -> Session | None:
        """A session with constants instead of variables, or None when that cannot be, or changes answers."""
        session: Session | None = None
        try:
            constants = freezing.frozen_graph(plain, self._meta_graph, self._init)
            session = self._ready(
                Session(constants, self._configured(plan), plan.runs, self._repeatable), restore=False
            )
            reason = freezing.difference(plain, session, tries)
        except Exception as error:  # noqa: BLE001 - the converter meets graphs of all kinds, and there is the plain one
            reason = f"its graph cannot be converted: {type(error).__name__}: {error}"
        if not reason:
            return session
        log.info("Served with its variables: %s: %s", self._path, reason)
        if session is not None:
            session.close()
        return None

    def _ready(self, session: Session, restore: bool) -> Session:
        """Restore the variables and run the init op, as TensorFlow's loader does."""
        try:
            prefix = savedmodel.variables_prefix(self._path, self._meta_graph) if restore else None
            if prefix is not None:
                saver = self._meta_graph.saver_def
                feeds = self._feeds | {saver.filename_tensor_name: np.array(prefix, dtype=object)}
                session.run(feeds, (), (saver.restore_op_name,), None)
            if self._init is not None:
                feeds = {name: value for name, value in self._feeds.items() if session.has(name)}
                session.run(feeds, (), (self._init,), None)
        except BaseException:
            session.close()
            raise
        return session

    def _configured(self, plan: Plan) -> Any:
        config = type(self._config)()
        config.CopyFrom(self._config)
        config.intra_op_parallelism_threads = plan.threads
        return config
