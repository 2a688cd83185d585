"""The drop watcher on real folders; that candidates pass is taken for granted (see test_gated_drop.py)."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle.settings import Settings
from rollout import gate, lane, watch
from rollout.client import Client
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL
from tests.unit.rollout.watch.dropping import REFUSED


@pytest.fixture(autouse=True)
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path | None]]:
    """The candidates checked, each with the live folder; all pass but those that hold REFUSED."""
    calls: list[tuple[Path, Path | None]] = []

    def run(candidate: Path, live: Path | None, *_: object, **__: object) -> gate.Report:
        calls.append((candidate, live))
        passed = (candidate / "saved_model.pb").read_bytes() != REFUSED
        return gate.Report.of([gate.Finding("answers", "passed" if passed else "failed", "it gives other answers")])

    monkeypatch.setattr(gate, "run", run)
    return calls


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_PENDING_TICK_S", 0.03)
    monkeypatch.setattr(lane, "_PROVEN_QUIET_S", 0.1)
    monkeypatch.setattr(lane, "_IDLE_TICK_S", 0.3)
    monkeypatch.setattr(watch, "_TICK_S", 0.3)


@pytest.fixture
def drop(settings: Settings) -> Path:
    folder = settings.drop_dir / MODEL
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def quarantine(settings: Settings) -> Path:
    return settings.quarantine_dir / MODEL


Start = Callable[[Settings], Watcher]


@pytest.fixture
def start(client: Client, caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
    """Starts watchers; one that has died fails the test."""
    caplog.set_level(logging.INFO)
    with contextlib.ExitStack() as stack:

        def start(settings: Settings) -> Watcher:
            watcher = Watcher(settings, client)
            died: list[BaseException] = []

            def run() -> None:
                try:
                    watcher.run()
                except BaseException as error:  # noqa: BLE001 - handed on to the test below
                    died.append(error)

            def stop() -> None:
                watcher.stop()
                thread.join(60)
                assert not thread.is_alive(), "the watcher did not stop"
                assert not died, f"the watcher died: {died!r}"

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(stop)
            return watcher

        yield start


@pytest.fixture
def watcher(start: Start, settings: Settings, drop: Path) -> Watcher:
    return start(settings)
