"""How the server ends: drained on the first signal, at once on the second."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
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


NEVER_S = 600.0
"""Longer than anybody waits: what ends before has not waited for it."""

NO_HURRY = f"--drain_timeout_seconds={NEVER_S:.0f}"


def test_requests_in_flight_are_answered_and_new_ones_are_not_taken(
    start_engine: StartEngine, kits: Kits, base: Path
) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", NO_HURRY, fresh=True)
    other = base.with_name("n")
    kits.publish(other, "1", 2)
    engine.serve(base)
    engine.serve(other)
    with engine.holding(base) as rest, engine.holding(other, over_grpc=True) as rpc:
        engine.signal()
        engine.until(lambda: not engine.listening())
        with pytest.raises(requests.ConnectionError):
            engine.predict("m")
    assert (rest.outcome, rpc.outcome) == ("1.0", "2.0")
    assert engine.exit_status() == 0
    assert "Stopping: 2 request(s) in flight" in engine.log
    assert "Stopped; no request was cut off" in engine.log


def test_an_interrupt_drains_as_well_and_a_waiting_reload_does_not_hold_it_up(
    start_engine: StartEngine, base: Path, tmp_path: Path
) -> None:
    retry = f"--load_retry_interval_micros={NEVER_S * 1e6:.0f}"
    engine = start_engine("--model_name=m", f"--model_base_path={base}", NO_HURRY, retry)
    engine.serve(base)
    (tmp_path / "bad" / "1").mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(engine.serve, tmp_path / "bad")
        engine.until(lambda: f"Loading bad version 1 failed, next attempt in {NEVER_S:.0f} s" in engine.log)
        with engine.holding(base) as running:
            engine.signal(signal.SIGINT)
            engine.until(lambda: "Stopping: 1 request(s) in flight" in engine.log)
        assert engine.exit_status() == 0
    assert running.outcome == "1.0"
    problem = reload.exception()
    assert isinstance(problem, grpc.RpcError)
    assert problem.code().name == "UNAVAILABLE"


def test_the_drain_has_an_end(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", "--drain_timeout_seconds=1")
    with engine.holding(base) as running:
        engine.signal()
        assert engine.exit_status() == 0
    assert running.outcome == "cut"
    assert "Stopped; 1 request(s) cut off after 1 s" in engine.log


def test_a_second_signal_ends_it_at_once(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", NO_HURRY)
    with engine.holding(base) as running:
        engine.signal()
        engine.until(lambda: "Stopping: 1 request(s) in flight" in engine.log)
        engine.signal()
        assert engine.exit_status() == 128 + signal.SIGTERM
    assert running.outcome == "cut"


def test_a_signal_before_the_ports_are_open_ends_it(start_engine: StartEngine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    engine = start_engine(f"--model_base_path={tmp_path / 'empty'}", wait=False, fresh=True)
    engine.until(lambda: "No versions of servable default" in engine.log)
    engine.signal()
    assert engine.exit_status() == 0
    assert "Traceback" not in engine.log
