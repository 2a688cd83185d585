"""Process trees: held still, they use no CPU; ended, nothing of them is left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.processes import Started, Tree
from bench.sample import spending
from bundle.errors import BundleError

BUSY = "import time\nwhile True: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
LEAST_S = 0.1


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Started]:
    started = Started([sys.executable, "-c", PARENT], tmp_path / "log")
    yield started
    started.close()


def until_used(tree: Tree, more_s: float) -> None:
    before, end = tree.cpu_s(), time.monotonic() + 20
    while tree.cpu_s() < before + more_s:
        assert time.monotonic() < end, "the process tree uses no CPU"
        time.sleep(0.01)


def test_a_tree_that_is_held_still_uses_no_cpu_until_it_is_resumed(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    busy.tree.stop()
    before = busy.tree.cpu_s()
    time.sleep(3 * LEAST_S)
    assert busy.tree.cpu_s() <= before + 0.02
    busy.tree.resume()
    until_used(busy.tree, LEAST_S)


def test_what_the_child_of_a_tree_spends_is_the_engines(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    with spending(busy.tree) as spent:
        time.sleep(3 * LEAST_S)
    engine, generator, others = spent.shares(0.0)
    assert engine is not None
    assert others is not None
    assert 0 < engine <= 1.1 / (os.cpu_count() or 1)
    assert generator == 0
    assert spent.per_1000(100) == pytest.approx(10 * (spent.engine_s or 0))


def test_closing_ends_the_whole_tree_also_one_that_is_held_still(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    processes = [psutil.Process(busy.process.pid), *psutil.Process(busy.process.pid).children()]
    assert len(processes) == 2
    busy.tree.stop()
    busy.close()
    _, alive = psutil.wait_procs(processes, timeout=10)
    # A grandchild that nobody reaps stays as a zombie: that is gone as well.
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_process_that_ends_instead_of_starting_is_told_with_its_last_lines(tmp_path: Path) -> None:
    started = Started([sys.executable, "-c", "import sys; sys.exit('no such model')"], tmp_path / "log")
    try:
        with pytest.raises(BundleError, match=r"ended with 1\nno such model"):
            started.until(lambda: False, "the server", deadline_s=20)
    finally:
        started.close()


def test_a_target_whose_process_is_not_there_is_told() -> None:
    with pytest.raises(BundleError, match="there is no process 4194304"):
        Tree(4194304)
