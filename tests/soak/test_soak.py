"""Fifty version switches under light load: no request fails and memory does not grow."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bench import cases, savedmodels, switch
from bench.cases import Case
from bench.engines import start
from bench.engines.network import NetworkEngine
from bench.generators import own
from bundle import files, output

SWITCHES = int(os.environ.get("SOAK_SWITCHES", "50"))
SETTLED = 5
GROWTH = 1.15
CLIENTS = 2
LONGEST_S = 3600.0
PAUSE_S = 1.0
"""Between two switches, so that the version before is gone when memory is read."""


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
                time.sleep(PAUSE_S)
                rss_mb.append(round(engine.tree.rss_mb()))
            running.stop()
            requests, _ = running.result()
    finally:
        engine.close()
    output.line(f"\n{name}: {len(requests.ended)} requests, {requests.failed} failed; RSS in MB: {rss_mb}")
    assert requests.failed == 0
    assert rss_mb[-1] <= GROWTH * rss_mb[SETTLED - 1]
