"""How the server ends: drained on the first signal, at once on the second."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
import requests

from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits


@pytest.fixture
def base(kits: Kits, tmp_path: Path) -> Path:
    kits.publish(tmp_path / "m", "1", 1)
    return tmp_path / "m"


class SlowRequest:
    """A prediction that takes `seconds`, sent from a thread of its own."""

    def __init__(self, engine: Engine, seconds: float) -> None:
        self.outcome = ""
        self._thread = threading.Thread(target=self._run, args=(engine, seconds))
        self._thread.start()
        time.sleep(0.5)  # it has to be running; were it not, the outcome would be another

    def _run(self, engine: Engine, seconds: float) -> None:
        try:
            self.outcome = str(engine.predict("m", "slow", seconds))
        except requests.RequestException:
            self.outcome = "cut"

    def result(self) -> str:
        """What became of it: the answer, or "cut"."""
        self._thread.join(60)
        return self.outcome


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered_and_new_ones_are_not_taken(
    start_engine: StartEngine, base: Path, number: signal.Signals
) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}")
    request = SlowRequest(engine, 3.0)
    engine.signal(number)
    engine.until(lambda: not engine.listening(), 2)
    with pytest.raises(requests.ConnectionError):
        engine.predict("m")
    assert request.result() == "1.0"
    assert engine.exit_status() == 0
    assert "Stopped; no request was cut off" in engine.log


def test_the_drain_has_an_end(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", "--drain_timeout_seconds=1")
    request = SlowRequest(engine, 30.0)
    engine.signal()
    began = time.monotonic()
    assert engine.exit_status() == 0
    assert time.monotonic() - began < 5
    assert request.result() == "cut"
    assert "Stopped; 1 requests were cut off after 1 s" in engine.log


def test_a_second_signal_ends_it_at_once(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}")
    request = SlowRequest(engine, 30.0)
    engine.signal()
    engine.until(lambda: "Stopping: 1 requests in flight" in engine.log)
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
