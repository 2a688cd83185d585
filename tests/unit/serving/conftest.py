from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.flags import Options
from serving.manager import Manager
from tests.unit.serving.echo import EchoServer
from tests.unit.serving.fakes import FakeLoader


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> FakeLoader:
    fake = FakeLoader()
    monkeypatch.setattr("serving.servable.load", fake.load)
    return fake


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "m"
    path.mkdir()
    return path


@pytest.fixture
def new_manager(loader: FakeLoader) -> Iterator[Callable[..., Manager]]:
    """Makes managers that give up after the first attempt unless told otherwise."""
    made: list[Manager] = []

    def make(**options: Any) -> Manager:
        made.append(Manager(Options(**{"max_num_load_retries": 0, **options})))
        return made[-1]

    yield make
    for manager in made:
        manager.shutdown()


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Makes threads take turns a hundred times as often, so that races show and waiting is short."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 100)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def start() -> Iterator[Callable[..., EchoServer]]:
    started: list[EchoServer] = []

    def begin(**options: Any) -> EchoServer:
        started.append(EchoServer(**options))
        return started[-1]

    yield begin
    for fixture in started:
        fixture.app.release.set()
        fixture.server.close(0.0)


@pytest.fixture
def http(start: Callable[..., EchoServer]) -> EchoServer:
    return start()
