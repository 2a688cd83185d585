"""Real versions, and real worker processes that are forked from one that has TensorFlow in memory already."""

from __future__ import annotations

import os
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import pytest

from bundle.environment import load
from bundle.settings import Settings, table
from rollout.gate import process, speed, worker
from tests.engine.made import made_once
from tests.forks import FORKS
from tests.unit.bundle.parts import make_root
from tests.waiting import until


class Forked:
    """A worker that starts in milliseconds; all else is as in a fresh process."""

    def __init__(self, folder: Path, channel: int, scratch: Path, output: IO[bytes]) -> None:
        arguments = (str(folder), reduction.DupFd(channel), reduction.DupFd(output.fileno()), str(scratch))
        self._process = FORKS.Process(target=_serve, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        until(self._leads_its_group, "the worker leads a process group")

    def _leads_its_group(self) -> bool:
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:
            return True

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def _serve(folder: str, channel: Any, output: Any, scratch: str) -> None:
    os.setsid()
    os.chdir(scratch)
    descriptor = output.detach()
    for number in (1, 2):
        os.dup2(descriptor, number)
    worker.serve(Path(folder), Connection(channel.detach()), os.getppid())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked workers and short turns; the tests that want the real thing take it back."""
    for row in table():
        monkeypatch.delenv(row.name, raising=False)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setattr(process, "launch", Forked)
    monkeypatch.setattr(speed, "_TURN_S", 0.005)
    monkeypatch.setattr(speed, "_ROUNDS", 5)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.gate.models", tmp_path_factory)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Limits that a busy machine keeps, also with two versions of the same speed."""
    limits = {"CHECK_TIMEOUT_SECONDS": "120", "CHECK_MEMORY": "1500m", "MAX_SLOWDOWN": "5"}
    return load(make_root(tmp_path / "bundle"), limits)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once("tests.gate.kinds", tmp_path_factory)
