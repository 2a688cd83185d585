"""How long each version was live, and what it answered meanwhile: the ledger's counters put side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from rollout import ledger
from rollout.ledger import Entry
from rollout.observe import Counters, from_figures


@dataclasses.dataclass(frozen=True)
class Period:
    """The last time that a version was live: since when, until when (empty for still), and its requests."""

    since: str
    until: str
    requests: Counters


def periods(entries: Iterable[Entry], now: Counters | None) -> dict[int, Period]:
    """The last period of each version; `now` are the counters of the live one, None when nobody answers."""
    found: dict[int, Period] = {}
    began: Entry | None = None
    for entry in entries:
        if entry.event != ledger.AVAILABLE or entry.version is None:
            continue
        if began is not None and began.version != entry.version:
            found.update(_period(began, entry.time, from_figures(entry.figures)))
        if began is None or began.version != entry.version:
            began = entry
    if began is not None:
        found.update(_period(began, "", now or from_figures(began.figures)))
    return found


def _period(began: Entry, until: str, at_end: Counters) -> dict[int, Period]:
    assert began.version is not None
    return {began.version: Period(began.time, until, at_end.since(from_figures(began.figures)))}
