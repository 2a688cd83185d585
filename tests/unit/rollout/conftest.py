from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.environment import load
from bundle.settings import Settings, table
from rollout.client import Client
from rollout.model import Model
from tests.unit.bundle.parts import MODEL, make_root
from tests.unit.rollout.stand_in import StandIn


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test EPOCHS=3` must not change what these tests see."""
    for row in table():
        monkeypatch.delenv(row.name, raising=False)
    monkeypatch.delenv("MAKEFLAGS", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "bundle")


@pytest.fixture
def base(root: Path) -> Path:
    return root / "models" / MODEL


@pytest.fixture
def server(root: Path, base: Path) -> Iterator[StandIn]:
    with StandIn({MODEL: base}, root / "models.config") as server:
        yield server


@pytest.fixture
def client(server: StandIn) -> Client:
    return Client("127.0.0.1", server.port, 1)


@pytest.fixture
def settings(root: Path) -> Settings:
    """Short waits; everything else at its default."""
    short = {
        "DROP_QUIET_SECONDS": "0.4",
        "DROP_INCOMPLETE_SECONDS": "0.6",
        "READY_TIMEOUT_SECONDS": "60",
        "WATCH_SECONDS": "0",
    }
    return load(root, short)


@pytest.fixture
def model(settings: Settings, client: Client, base: Path) -> Model:
    return Model(MODEL, base, settings, client)
