"""kill -9 of publisher, drop watcher and server at random moments while versions are released, one after the other.

The server, the publishers and the watcher are real processes; only the gate is replaced, by a pause, because it takes
seconds and changes nothing. CHAOS_RELEASES says how many versions are released (`make chaos`: 50).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bundle.environment import load
from bundle.models_config import CONTAINER_MODELS
from bundle.settings import Settings, table
from bundle.versions import version_folders
from rollout import ledger
from rollout.client import Client
from rollout.model import Model
from rollout.reconcile import last_events
from tests.ports import free_ports
from tests.unit.bundle.parts import MODEL, digest, finish, make_root, python
from tests.waiting import until

RELEASES = int(os.environ.get("CHAOS_RELEASES", "5"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
KEEP = 5
SHORT = {
    "DROP_QUIET_SECONDS": "0.3",
    "READY_TIMEOUT_SECONDS": "60",
    "WATCH_SECONDS": "0",
    "KEEP_VERSIONS": str(KEEP),
}
COMMON = f"""
import sys, time
from pathlib import Path
from bundle import output
from bundle.environment import load
from rollout import gate, lane, release, watch
from rollout.client import Client
from rollout.model import Model
lane._PENDING_TICK_S, lane._PROVEN_QUIET_S = 0.03, 0.1
def run(*_, **__):
    time.sleep(0.2)
    return gate.Report.of([])
gate.run = run
root, port = Path(sys.argv[1]), int(sys.argv[2])
settings, client = load(root, {SHORT!r}), Client("127.0.0.1", port, 1)
"""
PUBLISH = f"""{COMMON}
model = Model({MODEL!r}, settings.models_dir / {MODEL!r}, settings, client)
sys.exit(output.run_command(lambda: release.release(model, release.Order(Path(sys.argv[3]), "chaos")) and 0))
"""
WATCH = f"""{COMMON}
sys.exit(watch.main(settings, client, None))
"""


@dataclasses.dataclass
class Stack:
    """Server and watcher over one bundle; either can be killed and is started again."""

    root: Path
    rest_port: int
    grpc_port: int
    processes: dict[str, subprocess.Popen[str]] = dataclasses.field(default_factory=dict)

    def start(self, name: str) -> None:
        if name == "watcher":
            self.processes[name] = python(WATCH, self.root, self.rest_port, stdout=subprocess.DEVNULL)
            return
        command = [
            str(Path(sys.executable).with_name("model-server")),
            "--host=127.0.0.1",
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_config_file={self.root / 'models.config'}",
            "--max_num_load_retries=0",
            f"--base_path_map={CONTAINER_MODELS}={self.root / 'models'}",
            f"--model_root={self.root / 'models'}",
        ]
        log = (self.root / "server.log").open("a")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        log.close()

    def kill(self, name: str) -> None:
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def publish(self, source: Path) -> subprocess.Popen[str]:
        return python(PUBLISH, self.root, self.rest_port, source)

    def answer(self) -> float:
        url = f"http://127.0.0.1:{self.rest_port}/v1/models/{MODEL}:predict"
        reply = requests.post(url, json={"instances": [1.0]}, timeout=10)
        return float(reply.json()["predictions"][0])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for row in table():
        monkeypatch.delenv(row.name, raising=False)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    return load(make_root(tmp_path / "bundle"), SHORT)


@pytest.fixture
def stack(settings: Settings) -> Iterator[Stack]:
    rest, grpc = free_ports(2)
    stack = Stack(settings.root, rest, grpc)
    yield stack
    for process in stack.processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """SavedModels that answer their own number."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("sources")

    def made(number: int) -> Path:
        def call(x: Any) -> dict[str, Any]:
            return {"y": x * 0 + number}

        function = tf.function(call, input_signature=[tf.TensorSpec([None], tf.float32, "x")], autograph=False)
        tf.saved_model.save(tf.Module(), str(folder / str(number)), {"serving_default": function})
        return folder / str(number)

    return [made(number) for number in range(RELEASES + 2)]


def test_kills_at_random_moments_leave_the_newest_accepted_version_served(
    settings: Settings, stack: Stack, sources: list[Path]
) -> None:
    chance = random.Random(SEED)
    model = Model(MODEL, settings.models_dir / MODEL, settings, Client("127.0.0.1", stack.rest_port, 1))
    (settings.drop_dir / MODEL).mkdir(parents=True)
    first = stack.publish(sources[0])
    model.base_path.mkdir(parents=True, exist_ok=True)
    stack.start("server")
    _succeeds(first)
    stack.start("watcher")
    for source in sources[1:-1]:
        _release_and_kill(stack, settings, source, chance)
    until(lambda: not list((settings.drop_dir / MODEL).iterdir()), "for the drop folder to be empty", 120)
    _succeeds(stack.publish(sources[-1]))
    _assert_sound(model, stack, sources)


def _succeeds(publisher: subprocess.Popen[str]) -> None:
    output = finish(publisher, 60)
    assert publisher.returncode == 0, output


def _release_and_kill(stack: Stack, settings: Settings, source: Path, chance: random.Random) -> None:
    """Release by drop or by command, and kill one of those who work on it in the middle of it."""
    dropped = chance.random() < 0.5
    publisher = None if dropped else stack.publish(source)
    if dropped:
        shutil.copytree(source, settings.drop_dir / MODEL / source.name)
    time.sleep(chance.uniform(0, 2.5))
    victim = chance.choice(["watcher" if publisher is None else "publisher", "server"])
    if victim == "publisher" and publisher is not None:
        publisher.kill()
    else:
        stack.kill(victim)
        stack.start(victim)
    if publisher is not None:
        publisher.communicate(timeout=90)


def _assert_sound(model: Model, stack: Stack, sources: list[Path]) -> None:
    folders = version_folders(model.base_path)
    until(lambda: model.available() == [max(folders)], "for the newest version alone to be served", 60)
    assert stack.answer() == RELEASES + 1
    whole = {digest(source) for source in sources}
    assert {digest(folder) for folder in folders.values()} <= whole, "a version is not what was released"
    assert len(folders) <= KEEP
    # The next release sweeps; the last one was not killed.
    left = {path.name for path in model.base_path.iterdir()} - {folder.name for folder in folders.values()}
    assert left == {".drop-watcher.lock", ".highest_version", ".publish.lock", ".release.lock"}
    assert not model.quarantine.exists() or not list(model.quarantine.iterdir())
    _assert_ledger_is_whole(model, set(folders))


def _assert_ledger_is_whole(model: Model, on_disk: set[int]) -> None:
    entries = model.ledger.entries()
    states = last_events(entries)
    assert {n for n, state in states.items() if state in (ledger.PUBLISHED, ledger.AVAILABLE)} == on_disk
    assert set(states.values()) <= {ledger.PUBLISHED, ledger.AVAILABLE, ledger.RETIRED, ledger.FAILED}
    published = [entry.version for entry in entries if entry.event == ledger.PUBLISHED]
    assert len(published) == len(set(published)), "a number was published twice"
    assert max(on_disk) == max(states)
