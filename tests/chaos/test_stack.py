"""kill -9 and SIGSTOP of each process of a running stack at random moments, while versions are released.

All of it is real: what `up` started, the commands, the gate. After each blow the stack heals by itself, or `status`
says what to type. CHAOS_BLOWS says how many there are (`make chaos`: 60).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from bundle import manifest
from bundle.environment import load
from rollout import ledger
from rollout.reconcile import last_events
from tests.e2e.conftest import MODEL, Bundle, new_bundle
from tests.waiting import until

BLOWS = int(os.environ.get("CHAOS_BLOWS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
VICTIMS = ("model-server", "drop-watcher", "supervisor", "publisher", "trainer")
LONGEST_MOMENT_S = 5.0
HEALED_S = 120.0


@pytest.fixture
def stack(tmp_path: Path, trained: Path) -> Iterator[Bundle]:
    shutil.copytree(trained, tmp_path / "bundle", ignore=shutil.ignore_patterns(".run"))
    made = new_bundle(tmp_path / "bundle")
    made.environment.update(WATCH_SECONDS="0", EPOCHS="3", KEEP_VERSIONS="5", MIN_ACCURACY="0")
    made.must("rollout", "up")
    yield made
    made.stop()


class Sources:
    """Copies of a trained version, each with a mark of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self._folder = folder
        self._model = model
        self._count = 0

    def make(self) -> Path:
        self._count += 1
        copy = shutil.copytree(self._model, self._folder / f"source-{self._count}")
        path = manifest.manifest_path(copy)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"created": copy.name}))
        return copy


def test_no_blow_loses_what_was_finished_or_leaves_anything_half(stack: Bundle, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    sources = Sources(tmp_path, shutil.copytree(stack.base_path / "1", tmp_path / "model"))
    dropped = [one_blow(stack, sources, number, chance) for number in range(BLOWS)]
    until(lambda: not _waiting(stack), "for every drop to be taken", HEALED_S)
    last = sources.make()
    stack.must("rollout", "publish", str(last))
    assert mark_of(stack, max(stack.available())) == last.name
    assert_whole(stack, [name for name in dropped if name])


def one_blow(stack: Bundle, sources: Sources, number: int, chance: random.Random) -> str:
    """Have something released, hit somebody in the middle of it, and see to it that all is well again.

    Returns the name of what was dropped, if anything was.
    """
    victim = VICTIMS[number % len(VICTIMS)]
    blow = chance.choice([signal.SIGKILL, signal.SIGSTOP])
    dropped = ""
    command: subprocess.Popen[str] | None = None
    if victim == "trainer":
        command = stack.start("rollout", "train")
    elif victim == "publisher":
        command = stack.start("rollout", "publish", str(sources.make()))
    else:
        source = sources.make()
        dropped = source.name
        shutil.copytree(source, stack.drop / f".{dropped}")
        (stack.drop / f".{dropped}").rename(stack.drop / dropped)
    time.sleep(chance.uniform(0, LONGEST_MOMENT_S))
    _hit(stack, victim, blow, command)
    _heal(stack)
    if command is not None:
        _let_end(command)
        _heal(stack)
    return dropped


def _hit(stack: Bundle, victim: str, blow: signal.Signals, command: subprocess.Popen[str] | None) -> None:
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess, FileNotFoundError):
        if command is None:
            os.kill(stack.pid(victim), blow)
            return
        hit = [psutil.Process(command.pid)]
        if victim == "trainer":
            hit = [each for each in hit[0].children(recursive=True) if "trainer" in " ".join(each.cmdline())] or hit
        hit[0].send_signal(blow)


def _let_end(command: subprocess.Popen[str]) -> None:
    """Have a command go on that was stopped, with all that it started, and wait for its end."""
    with contextlib.suppress(psutil.NoSuchProcess):
        own = psutil.Process(command.pid)
        for each in (own, *own.children(recursive=True)):
            each.resume()
    output, _ = command.communicate(timeout=300)
    assert "Traceback" not in output


def _heal(stack: Bundle) -> None:
    """Do what `status` says until it has nothing more to say; fails when it says nothing and things are not well."""
    deadline = time.monotonic() + HEALED_S
    while True:
        began = time.monotonic()
        _, said = stack.run("rollout", "status")
        assert time.monotonic() - began < 10, "status hung"
        for pid in re.findall(r"until: kill -CONT (\d+)", said):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGCONT)
        if "make up" in said:
            stack.run("rollout", "up")
        if "warning" not in said and _answers(stack):
            return
        assert time.monotonic() < deadline, f"not healed in {HEALED_S:g} s; status says\n{said}"


def _answers(stack: Bundle) -> bool:
    with contextlib.suppress(requests.RequestException, KeyError):
        return bool(stack.available())
    return False


def _waiting(stack: Bundle) -> list[str]:
    return [path.name for path in stack.drop.iterdir() if not path.name.startswith((".turn-", ".waits-"))]


def mark_of(stack: Bundle, version: int) -> str:
    document = manifest.read(stack.base_path / str(version))
    assert document is not None
    return document.created


def assert_whole(stack: Bundle, dropped: list[str]) -> None:
    for folder in (path for path in stack.base_path.iterdir() if path.name.isdigit()):
        document = manifest.read(folder)
        assert document is not None
        assert manifest.damage(folder, document) == []
    entries = ledger.of(load(stack.root), MODEL).entries()
    # One that was published as its server died is on disk, and served as soon as that is back.
    live = {entry.origin for entry in entries if entry.event in (ledger.PUBLISHED, ledger.AVAILABLE)}
    kept = {path.name for path in stack.quarantine.iterdir()} if stack.quarantine.is_dir() else set()
    lost = [name for name in dropped if f"drop/{MODEL}/{name}" not in live and name not in kept]
    assert lost == [], "what was dropped is neither live nor in quarantine"
    published = [entry.version for entry in entries if entry.event == ledger.PUBLISHED]
    assert len(published) == len(set(published)), "a number was published twice"
    on_disk = {int(path.name) for path in stack.base_path.iterdir() if path.name.isdigit()}
    states = last_events(entries)
    assert {n for n, state in states.items() if state in (ledger.PUBLISHED, ledger.AVAILABLE)} == on_disk
