"""From a SavedModel folder to the session that answers fastest: frozen where that is safe, on the threads it needs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from serving import effects, freezing, parts, probes, threads, variables
from serving.errors import ServingError
from serving.probes import Probe
from serving.session import Graph, Session
from serving.source import Source
from serving.trials import Trial

log = logging.getLogger(__name__)


def open_session(path: Path, meta_graph: Any, config: Any, freeze: bool, trial_s: float) -> Session:
    """A session with variables restored and tables filled.

    `config` is a ConfigProto. A number of threads within operations that it names is kept; otherwise the number that
    suits the version is found out, which may delay it by `trial_s` seconds. Raises ServingError when the version cannot
    be loaded.
    """
    source = Source(path, meta_graph, config)
    number = config.intra_op_parallelism_threads
    asked = threads.asked_for(number) if number else None
    if not _may_be_opened_twice(source):
        return source.plain(asked or threads.HEAVY)
    constants = freeze and _can_be_frozen(source)
    tried = probes.typical(path, meta_graph) if trial_s > 0 and asked is None else []
    if not constants and not tried:
        return source.plain(asked or threads.HEAVY)
    graph, took = _look_into(source, constants, tried, trial_s)
    return _opened(source, graph, asked or threads.suiting(took))


def _may_be_opened_twice(source: Source) -> bool:
    """Whether that tells nobody, and takes little."""
    size = variables.in_bytes(parts.behind(source.meta_graph.graph_def, parts.of_requests(source.meta_graph)))
    return size <= freezing.MOST_BYTES and effects.can_be_repeated(source.meta_graph, source.init)


def _can_be_frozen(source: Source) -> bool:
    reason = freezing.why_not(source.meta_graph, source.init)
    if reason and reason != freezing.NO_VARIABLES:
        _keep_variables(source, reason)
    return not reason


def _look_into(source: Source, constants: bool, tried: list[Probe], trial_s: float) -> tuple[Graph | None, float]:
    """The version's graph with constants, if there is to be one, and the seconds that a row takes, 0 if unknown."""
    session = source.brief(threads.LIGHT)
    trial = Trial(session, tried, trial_s)
    try:
        # One after the other: beside the converter a run takes twice as much time of the CPU.
        trial.wait()
        return (_frozen(source, session) if constants else None), trial.took
    finally:
        trial.close()


def _frozen(source: Source, session: Session) -> Graph | None:
    try:
        return freezing.frozen_graph(session, source.meta_graph, source.init)
    except Exception as error:  # noqa: BLE001 - the converter meets graphs of all kinds
        _keep_variables(source, f"its graph cannot be converted: {type(error).__name__}: {error}")
        return None


def _opened(source: Source, constants: Graph | None, plan: threads.Plan) -> Session:
    if constants is not None:
        try:
            return source.constant(constants, plan)
        except ServingError as error:
            _keep_variables(source, f"its graph cannot be converted: {error}")
    return source.plain(plan)


def _keep_variables(source: Source, reason: str) -> None:
    log.info("Served with its variables: %s: %s", source.path, reason)
