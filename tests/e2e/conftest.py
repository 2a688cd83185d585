"""A bundle of its own in a scratch folder, driven by the commands that users type, on free ports."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.engine.made import once
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
MODEL = "ResnetModel"
COPIED = (".env", "models.config", "serving/monitoring.config")
DEADLINE_S = 300


@dataclasses.dataclass(frozen=True)
class Bundle:
    """One installation of the bundle."""

    root: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environment['REST_PORT']}"

    @property
    def base_path(self) -> Path:
        return self.root / "models" / MODEL

    @property
    def drop(self) -> Path:
        return self.root / "drop" / MODEL

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine" / MODEL

    def start(self, *command: str, **settings: str) -> subprocess.Popen[str]:
        """Start one of the bundle's commands without waiting for it."""
        path = Path(sys.executable).with_name(command[0])
        return subprocess.Popen(
            [str(path), *command[1:]],
            cwd=self.root,
            env={**os.environ, **self.environment, **settings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *command: str, **settings: str) -> tuple[int, str]:
        """Exit status and output of one of the bundle's commands."""
        process = self.start(*command, **settings)
        output, _ = process.communicate(timeout=DEADLINE_S * 2)
        return process.returncode, output

    def must(self, *command: str, **settings: str) -> str:
        """Output of a command that is to succeed."""
        status, output = self.run(*command, **settings)
        assert status == 0, output
        return output

    def pid(self, name: str) -> int:
        """The pid of one of its background processes."""
        return int(json.loads((self.root / ".run" / f"{name}.json").read_text())["pid"])

    def states(self) -> dict[int, str]:
        """State of every version that the server lists."""
        document = requests.get(f"{self.url}/v1/models/{MODEL}", timeout=10).json()
        return {int(entry["version"]): entry["state"] for entry in document["model_version_status"]}

    def available(self) -> list[int]:
        """Versions that are AVAILABLE."""
        return [version for version, state in self.states().items() if state == "AVAILABLE"]

    def stop(self) -> None:
        """Stop everything, also what a failed test left."""
        self.run("rollout", "down")
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.root):
                    process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue


def new_bundle(root: Path) -> Bundle:
    """An empty bundle in the folder `root`; nothing is trained or running."""
    for name in COPIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, root / name)
    rest, grpc = free_ports(2)
    environment = {
        "ENGINE": "local",
        "MODEL_TYPE": "LenetModel",
        "REST_PORT": str(rest),
        "GRPC_PORT": str(grpc),
        "DROP_QUIET_SECONDS": "2",
        "DROP_INCOMPLETE_SECONDS": "4",
        "WATCH_SECONDS": "1",
        "KEEP_VERSIONS": "20",
        "MAX_ACCURACY_DROP": "1",  # What is trained for one epoch is to be released, too.
        # A neighbour that takes the CPU for a moment must not decide which version is good.
        "CHECK_TIMEOUT_SECONDS": "600",
        "READY_TIMEOUT_SECONDS": "600",
        "MAX_SLOWDOWN": "1000",
        "WATCH_SLOWDOWN": "1000",
        "MAKEFLAGS": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return Bundle(root, environment)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """An empty bundle; nothing is trained or running."""
    made = new_bundle(tmp_path_factory.mktemp("bundle"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rollout up` made from nothing, once per test run; `first_output` holds what it printed."""

    def up_and_down(root: Path) -> None:
        made = new_bundle(root)
        try:
            (root / "first_output").write_text(made.must("rollout", "up", EPOCHS="8"))
        finally:
            made.stop()

    return once("trained", up_and_down, tmp_path_factory)


@pytest.fixture(scope="module")
def serving(bundle: Bundle, trained: Path) -> Bundle:
    """A bundle that serves what `rollout up` trained."""
    shutil.copytree(trained, bundle.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".run"))
    bundle.must("rollout", "up")
    return bundle
