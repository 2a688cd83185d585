"""A bundle of its own in a scratch folder, driven by the commands that users type, on free ports."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
MODEL = "ResnetModel"
COPIED = (".env", "models.config", "serving/monitoring.config")
DEADLINE_S = 120


def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return once `condition` holds; fail the test when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


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


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """An empty bundle; nothing is trained or running."""
    root = tmp_path_factory.mktemp("bundle")
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
        "MAKEFLAGS": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    made = Bundle(root, environment)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def serving(bundle: Bundle) -> Bundle:
    """A bundle that `rollout up` brought from nothing to a prediction; `first_output` holds what it printed."""
    output = bundle.must("rollout", "up", EPOCHS="8")
    (bundle.root / "first_output").write_text(output)
    return bundle
