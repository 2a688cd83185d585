"""A bundle of its own for the proof: the files of this one in a scratch folder, on free ports."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from bundle.environment import load
from bundle.settings import Settings
from rollout.client import Client

MODEL = "ResnetModel"
_NOT_COPIED = (".git", ".venv", ".run", ".*_cache", ".hypothesis", "models", "drop", "quarantine", "runs", "releases")
_DEADLINE_S = 300.0
_PAUSE_S = 0.1


class UnexpectedOutcome(RuntimeError):
    """A command of the scripted day ended otherwise than it has to."""


@dataclasses.dataclass(frozen=True)
class BundleCopy:
    """An installation in `root`, driven by the commands that users type."""

    root: Path
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return load(self.root, self.environment)

    @property
    def client(self) -> Client:
        """A client of its server."""
        return Client("127.0.0.1", int(self.environment["REST_PORT"]), int(self.environment["GRPC_PORT"]))

    @property
    def base_path(self) -> Path:
        """Where its versions are published."""
        return self.root / "models" / MODEL

    def run(self, *command: str, status: int = 0, says: str = "", **settings: str) -> str:
        """Output of a command; raises UnexpectedOutcome when it ends with another status, or does not say `says`."""
        path = Path(sys.executable).with_name(command[0])
        answer = subprocess.run(
            [str(path), *command[1:]],
            cwd=self.root,
            env={**os.environ, **self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        output = answer.stdout + answer.stderr
        if answer.returncode != status or says not in output:
            raise UnexpectedOutcome(
                f"{' '.join(command)}: exit status {answer.returncode}, expected {status} and {says!r}:\n{output}"
            )
        return output

    def live(self) -> int:
        """The version that answers who names none."""
        return max(self.client.available(MODEL))


def make(source: Path, root: Path, engine: str) -> BundleCopy:
    """Copy the bundle in `source` to `root`; nothing is trained or running."""
    shutil.copytree(source, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    rest, grpc = _free_ports(2)
    environment = {
        "ENGINE": engine,
        "MODEL_NAME": MODEL,
        "MODEL_TYPE": "LenetModel",
        "EPOCHS": "6",
        "REST_PORT": str(rest),
        "GRPC_PORT": str(grpc),
        "PROJECT": f"prove-{rest}",
        "DROP_QUIET_SECONDS": "2",
        "DROP_INCOMPLETE_SECONDS": "4",
        "CHECK_TIMEOUT_SECONDS": "30",
        "WATCH_SECONDS": "5",
        "KEEP_VERSIONS": "5",
        "MAKEFLAGS": "",
    }
    return BundleCopy(root, environment)


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once `condition` holds; raises UnexpectedOutcome when it does not in time."""
    deadline = time.monotonic() + _DEADLINE_S
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise UnexpectedOutcome(f"waited {_DEADLINE_S:g} s for {what}")
        time.sleep(_PAUSE_S)


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except (OSError, requests.RequestException):
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(opened.getsockname()[1]) for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
