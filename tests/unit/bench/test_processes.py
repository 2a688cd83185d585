"""Process trees: held still, they use no CPU; ended, nothing of them is left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench.processes import Started, Tree
from bench.sample import Spent, spending
from bundle.errors import BundleError
from tests.waiting import until

BUSY = "import time\nwhile True: pass"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
LEAST_S = 0.1


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Started]:
    started = Started([sys.executable, "-c", PARENT], tmp_path / "log")
    yield started
    started.close()


def until_used(tree: Tree, more_s: float) -> None:
    before = tree.cpu_s()
    until(lambda: tree.cpu_s() >= before + more_s, "for the process tree to use the CPU")


def all_stopped(root: psutil.Process) -> bool:
    return all(each.status() == psutil.STATUS_STOPPED for each in (root, *root.children(recursive=True)))


def test_a_tree_that_is_held_still_uses_no_cpu_until_it_is_resumed(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    busy.tree.stop()
    until(partial(all_stopped, psutil.Process(busy.process.pid)), "for the tree to be stopped")
    before = busy.tree.cpu_s()
    time.sleep(3 * LEAST_S)  # What a tree that still ran would use up.
    assert busy.tree.cpu_s() == before
    busy.tree.resume()
    until_used(busy.tree, LEAST_S)


def test_what_the_child_of_a_tree_spends_is_the_engines(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    before = busy.tree.cpu_s()
    with spending(busy.tree) as spent:
        until_used(busy.tree, LEAST_S)
    assert spent.engine_s is not None
    assert LEAST_S <= spent.engine_s <= busy.tree.cpu_s() - before
    assert spent.machine_s > 0
    assert spent.wall_s > 0


def test_shares_are_of_all_the_cpus_and_what_nobody_owns_up_to_is_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    spent = Spent(wall_s=2.0, engine_s=4.0, machine_s=7.0)
    assert spent.shares(1.0) == (0.5, 0.125, 0.25)
    assert spent.per_1000(500) == 8.0
    assert Spent(wall_s=2.0, engine_s=None, machine_s=7.0).shares(1.0) == (None, 0.125, None)


def test_closing_ends_the_whole_tree_also_one_that_is_held_still(busy: Started) -> None:
    until_used(busy.tree, LEAST_S)
    processes = [psutil.Process(busy.process.pid), *psutil.Process(busy.process.pid).children()]
    assert len(processes) == 2
    busy.tree.stop()
    busy.close()
    _, alive = psutil.wait_procs(processes, timeout=60)
    # A grandchild that nobody reaps stays as a zombie: that is gone as well.
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_process_that_ends_instead_of_starting_is_told_with_its_last_lines(tmp_path: Path) -> None:
    started = Started([sys.executable, "-c", "import sys; sys.exit('no such model')"], tmp_path / "log")
    try:
        with pytest.raises(BundleError, match=r"ended with 1\nno such model"):
            started.until(lambda: False, "the server", deadline_s=60)
    finally:
        started.close()


def test_a_target_whose_process_is_not_there_is_told() -> None:
    with pytest.raises(BundleError, match="there is no process 4194304"):
        Tree(4194304)
