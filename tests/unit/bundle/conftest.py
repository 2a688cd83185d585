from __future__ import annotations

from pathlib import Path

import pytest

from bundle.settings import table
from tests.unit.bundle.parts import make_root


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test EPOCHS=3` must not change what these tests see."""
    for row in table():
        monkeypatch.delenv(row.name, raising=False)
    monkeypatch.delenv("MAKEFLAGS", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a bundle with every setting at its default."""
    return make_root(tmp_path / "bundle")
