"""A copy of the live version is dropped, goes live and is rolled back, and no request fails meanwhile."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bundle import files, publish
from bundle.settings import Settings
from rollout import stack
from tests.smoke import pictures
from tests.smoke.conftest import Server

PAUSE_S = 0.02
DEADLINE_S = 180


@dataclasses.dataclass
class Traffic:
    """Predictions sent one after the other until stopped."""

    server: Server
    sent: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        body = {
            "signature_name": "serving_bytes",
            "instances": [pictures.b64(pictures.encoded("RGB", (32, 32), "PNG"))],
        }
        with requests.Session() as session:
            while not stopping.wait(PAUSE_S):
                self._one(session, body)

    def _one(self, session: requests.Session, body: object) -> None:
        self.sent += 1
        try:
            reply = session.post(f"{self.server.url}/v1/models/{self.server.model}:predict", json=body, timeout=30)
            if reply.status_code != 200:
                self.failures.append(f"{reply.status_code} {reply.text[:200]}")
        except requests.RequestException as error:
            self.failures.append(f"{type(error).__name__}: the server stopped answering")


def _until(condition: Callable[[], bool], what: str, traffic: Traffic) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if traffic.failures:
            pytest.fail(f"a request failed while waiting for {what}: {traffic.failures[0]}", pytrace=False)
        if time.monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE_S} s for {what}; see: make logs", pytrace=False)
        time.sleep(0.1)


def test_hot_reload(server: Server, settings: Settings, base_path: Path, live_folder: Path) -> None:
    """A dropped copy goes live and is rolled back without a failed request"""
    if stack.running(settings) is None:
        pytest.skip("needs the drop watcher, which `make up` starts")
    before = server.available()[0]
    traffic, stopping = Traffic(server), threading.Event()
    thread = threading.Thread(target=traffic.run, args=(stopping,))
    thread.start()
    try:
        shutil.copytree(live_folder, settings.drop_dir / server.model / "smoke-test", copy_function=shutil.copy)
        _until(lambda: server.available()[0] > before, "the dropped copy to become AVAILABLE", traffic)
        _roll_back(server, settings, base_path)
        _until(lambda: server.available() == [before], f"version {before} to be served again", traffic)
    finally:
        stopping.set()
        thread.join()
    assert traffic.sent > 20
    assert not traffic.failures, traffic.failures[:3]


def _roll_back(server: Server, settings: Settings, base_path: Path) -> None:
    copied = server.available()[0]
    taken = publish.withdraw(base_path, copied, settings.quarantine_dir / server.model, "a copy made by the smoke test")
    files.remove(taken)
    files.remove(taken.with_name(f"{taken.name}.reason.txt"))
