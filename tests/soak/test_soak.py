"""Fifty version switches under light load: no request fails and memory does not grow."""

from __future__ import annotations

import os
import statistics
from functools import partial
from pathlib import Path

import pytest
import requests

from bench import cases, savedmodels, switch
from bench.cases import Case
from bench.engines import start
from bench.engines.network import NetworkEngine
from bench.generators import own
from bundle import files, output
from tests.waiting import until

SWITCHES = int(os.environ.get("SOAK_SWITCHES", "50"))
SETTLED = 5
GROWTH = 1.15
CLIENTS = 2
LONGEST_S = 3600.0
WINDOW = 5
"""Readings of which the median counts: one alone may fall into a load."""


@pytest.mark.parametrize("name", ["lenet-28-frozen", "lenet-28-plain"])
def test_memory_does_not_grow_with_the_number_of_switches(name: str, tmp_path: Path) -> None:
    model = cases.model_named(name)
    savedmodels.prepare([model])
    engine = start.model_server(model, tmp_path)
    assert isinstance(engine, NetworkEngine)
    assert engine.tree is not None
    base = start.base_path(model, tmp_path)
    rss_mb = []
    try:
        with own(engine.load(Case(model, cases.REST_BYTES, CLIENTS)), LONGEST_S) as running:
            for number in range(1, SWITCHES + 1):
                switch.publish(engine, base, tmp_path)
                files.remove(base / str(number))
                until(partial(serves_only, engine, number + 1), "for the version before to be gone")
                rss_mb.append(round(engine.tree.rss_mb()))
            running.stop()
            seen, _ = running.result()
    finally:
        engine.close()
    output.line(f"\n{name}: {len(seen.ended)} requests, {seen.failed} failed; RSS in MB: {rss_mb}")
    assert seen.failed == 0
    settled = statistics.median(rss_mb[SETTLED : SETTLED + WINDOW])
    assert statistics.median(rss_mb[-WINDOW:]) <= GROWTH * settled


def serves_only(engine: NetworkEngine, version: int) -> bool:
    states = requests.get(engine.url, timeout=60).json()["model_version_status"]
    return {int(each["version"]) for each in states if each["state"] != "END"} == {version}
