"""Models without TensorFlow, for tests of what happens around a load: threads, order, failures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from serving.config import ModelServerConfig
from serving.errors import Code, ServingError
from serving.manager import Manager
from tests.waiting import DEADLINE_S


class FakeServable:
    """Stands for a loaded version; knows whether it was closed while in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeLoader:
    """Loads folders whose file `model` says "good"; can be made to wait, and counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: list[FakeServable] = []
        self._held: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def hold(self, folder: str) -> Callable[[], None]:
        """Make loads of `<model>/<version>` wait until the returned function is called."""
        self._held[folder] = event = threading.Event()
        return event.set

    def load(self, path: Path, options: Any, model: str, number: int) -> FakeServable:
        folder = f"{path.parent.name}/{path.name}"
        with self._lock:
            self.asked.append(folder)
        held = self._held.get(folder)
        if held is not None:
            assert held.wait(DEADLINE_S)
        if not (path / "model").is_file():
            raise ServingError(Code.NOT_FOUND, f"no model in {path}")
        if (path / "model").read_text() != "good":
            raise ServingError(Code.DATA_LOSS, f"bad model in {path}")
        servable = FakeServable(path)
        self.made.append(servable)
        return servable


def make_version(base: Path, name: str, content: str | None = "good") -> Path:
    """Make a version folder as a publisher does: beside, then renamed."""
    staging = base / f".{name.strip()}.tmp"
    staging.mkdir(parents=True)
    if content is not None:
        (staging / "model").write_text(content)
    return staging.rename(base / name)


def config_of(*entries: str) -> Any:
    """A ModelServerConfig of such entries as 'name: "m" base_path: "/m"'; the platform is added."""
    text = " ".join(f'config {{ {entry} model_platform: "tensorflow" }}' for entry in entries)
    return text_format.Parse(f"model_config_list {{ {text} }}", ModelServerConfig())


def states(manager: Manager, model: str = "m") -> list[tuple[int, str]]:
    """The versions of a model with their states, as a client sees them."""
    return [(status.version, status.state.name) for status in manager.status(model)]


def answering(manager: Manager, model: str = "m", **which: Any) -> int:
    """The version that answers a request now."""
    with manager.acquire(model, **which) as handle:
        return handle.version


def entry(base: Path, more: str = "") -> str:
    """An entry of models.config."""
    return f'name: "{base.name}" base_path: "{base}" {more}'


def serving(manager: Manager, base: Path, more: str = "") -> Manager:
    """The manager, with the model in `base`."""
    manager.reload(config_of(entry(base, more)))
    return manager
