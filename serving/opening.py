"""From a SavedModel folder to the session that answers fastest: frozen where that is safe, on the threads it needs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from serving import effects, freezing, savedmodel, threads
from serving.session import Session
from serving.source import Source
from serving.trials import Trial

log = logging.getLogger(__name__)


def open_session(path: Path, meta_graph: Any, config: Any, freeze: bool, trial_s: float) -> Session:
    """A session with variables restored and tables filled.

    `config` is a ConfigProto. A number of threads within operations that it names is kept; otherwise the number that
    suits the version is found out. That, and whether constants may stand for its variables, may delay the version by
    `trial_s` seconds; what is not known then is not done. Raises ServingError when the version cannot be loaded.
    """
    source = Source(path, meta_graph, config)
    number = config.intra_op_parallelism_threads
    asked = threads.asked_for(number) if number else None
    constants = freeze and _can_be_frozen(source)
    in_vain = asked is not None and not constants
    if trial_s <= 0 or in_vain or not effects.can_be_repeated(meta_graph, source.init):
        return source.plain(asked or threads.HEAVY)
    trial = Trial(source, asked, constants, trial_s)
    if trial.wait():
        return trial.frozen or source.plain(trial.plan or threads.HEAVY)
    try:
        plain = source.plain(trial.plan or threads.HEAVY)
    finally:
        trial.give_up()
    if trial.frozen is None:
        return plain
    plain.close()
    return trial.frozen


def _can_be_frozen(source: Source) -> bool:
    reason = freezing.why_not(source.meta_graph, savedmodel.variables_bytes(source.path))
    if reason and reason != freezing.NO_VARIABLES:
        log.info("Served with its variables: %s: %s", source.path, reason)
    return not reason
