"""How the server ends: drained on the first signal, at once on the second."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import requests

from tests.engine.conftest import StartEngine
from tests.engine.engine import Kits


@pytest.fixture
def base(kits: Kits, tmp_path: Path) -> Path:
    kits.publish(tmp_path / "m", "1", 1)
    return tmp_path / "m"


class SlowRequest:
    """A prediction that takes `seconds`, sent from a thread of its own."""

    def __init__(self, ask: Callable[..., float], seconds: float) -> None:
        self.outcome = ""
        self._thread = threading.Thread(target=self._run, args=(ask, seconds))
        self._thread.start()
        time.sleep(0.5)  # it has to be running; were it not, the outcome would be another

    def _run(self, ask: Callable[..., float], seconds: float) -> None:
        try:
            self.outcome = str(ask("m", "slow", seconds))
        except (requests.RequestException, grpc.RpcError):
            self.outcome = "cut"

    def result(self) -> str:
        """What became of it: the answer, or "cut"."""
        self._thread.join(60)
        return self.outcome


def test_requests_in_flight_are_answered_and_new_ones_are_not_taken(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}")
    running = [SlowRequest(engine.predict, 3.0), SlowRequest(engine.predict_grpc, 3.0)]
    engine.signal()
    engine.until(lambda: not engine.listening(), 2)
    with pytest.raises(requests.ConnectionError):
        engine.predict("m")
    assert [request.result() for request in running] == ["1.0", "1.0"]
    assert engine.exit_status() == 0
    assert "Stopping: 2 request(s) in flight" in engine.log
    assert "Stopped; no request was cut off" in engine.log


def test_an_interrupt_drains_as_well_and_a_waiting_reload_does_not_hold_it_up(
    start_engine: StartEngine, base: Path, tmp_path: Path
) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}")
    engine.serve(base)
    (tmp_path / "bad" / "1").mkdir(parents=True)
    refusals: list[str] = []

    def reload() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            engine.serve(tmp_path / "bad")
        refusals.append(caught.value.code().name)

    thread = threading.Thread(target=reload)
    thread.start()
    engine.until(lambda: "Loading bad version 1 failed, next attempt in 60 s" in engine.log)
    request = SlowRequest(engine.predict, 2.0)
    engine.signal(signal.SIGINT)
    began = time.monotonic()
    assert engine.exit_status() == 0
    assert time.monotonic() - began < 7
    assert request.result() == "1.0"
    thread.join(10)
    assert refusals == ["UNAVAILABLE"]


def test_the_drain_has_an_end(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", "--drain_timeout_seconds=1")
    request = SlowRequest(engine.predict, 30.0)
    engine.signal()
    began = time.monotonic()
    assert engine.exit_status() == 0
    assert time.monotonic() - began < 5
    assert request.result() == "cut"
    assert "Stopped; 1 request(s) cut off after 1 s" in engine.log


def test_a_second_signal_ends_it_at_once(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}")
    request = SlowRequest(engine.predict, 30.0)
    engine.signal()
    engine.until(lambda: "Stopping: 1 request(s) in flight" in engine.log)
    engine.signal()
    began = time.monotonic()
    assert engine.exit_status() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 2
    assert request.result() == "cut"


def test_a_signal_before_the_ports_are_open_ends_it(start_engine: StartEngine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    engine = start_engine(f"--model_base_path={tmp_path / 'empty'}", wait=False)
    engine.until(lambda: "No versions of servable default" in engine.log, 60)
    engine.signal()
    assert engine.exit_status() == 0
    assert "Traceback" not in engine.log
