"""Background processes found again, never mistaken for others, and stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rollout.processes import Background
from tests.unit.bundle.parts import finish, python
from tests.waiting import until

SLEEP = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(60)"]
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
time.sleep(60)
"""
# A command starts it and ends, as `make up` does: the process is nobody's child afterwards.
START = """
import sys
from pathlib import Path
from rollout.processes import Background
print(Background("it", Path(sys.argv[1])).start(sys.argv[2:], Path(sys.argv[1]).parent).pid)
"""


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Background]:
    background = Background("it", tmp_path / ".run")
    yield background
    process = background.find()
    if process is not None:
        process.kill()


def start(background: Background, command: list[str]) -> int:
    starter = python(START, background.run_dir, *command)
    pid = int(finish(starter))
    until(lambda: "begun" in background.last_lines(5), "for it to begin")
    return pid


def test_it_outlives_its_starter_and_is_found_and_stopped(it: Background) -> None:
    assert it.find() is None
    pid = start(it, SLEEP)
    found = it.find()
    assert found is not None
    assert found.pid == pid
    assert os.getsid(pid) == pid  # Ctrl-C at the terminal that started it does not reach it.
    assert it.stop(10) is False
    assert it.find() is None
    until(lambda: not psutil.pid_exists(pid), "for it to be gone")


def test_one_that_does_not_listen_is_killed(it: Background) -> None:
    start(it, [sys.executable, "-c", STUBBORN])
    assert it.stop(0.3) is True
    assert it.find() is None


def test_one_that_was_killed_is_not_found(it: Background) -> None:
    pid = start(it, SLEEP)
    os.kill(pid, signal.SIGKILL)
    until(lambda: it.find() is None, "for its end to be noticed")
    assert it.stop(1) is False


def test_a_pid_that_somebody_else_has_now_is_not_ours(it: Background) -> None:
    it.run_dir.mkdir()
    me = psutil.Process()
    (it.run_dir / "it.json").write_text(json.dumps({"pid": me.pid, "identity": "another"}))
    assert it.find() is None
    assert it.stop(1) is False  # The process that runs this test is still here to say so.


@pytest.mark.parametrize(
    "record", ["", "{", "[]", '"x"', "{}", '{"pid": "x", "identity": "1"}', '{"pid": -1, "identity": "1"}']
)
def test_a_damaged_record_counts_as_none(it: Background, record: str) -> None:
    it.run_dir.mkdir()
    (it.run_dir / "it.json").write_text(record)
    assert it.find() is None
    it.stop(1)
    assert not (it.run_dir / "it.json").exists()


def test_the_log_is_added_to_and_its_end_is_shown(it: Background) -> None:
    assert it.last_lines(3) == []
    finish(python(START, it.run_dir, sys.executable, "-c", "print('one')"))
    until(lambda: it.last_lines(3) == ["one"], "for the first word")
    finish(python(START, it.run_dir, sys.executable, "-c", "print('two'); print('three')"))
    until(lambda: it.last_lines(3) == ["one", "two", "three"], "for the next words")
    assert it.last_lines(2) == ["two", "three"]


def test_a_clock_that_is_set_loses_nothing(it: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = start(it, SLEEP)
    for step_s in (-3600.0, 3600.0):
        # What a step of the clock changes: when the system says that it was booted, and so all that counts from there.
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, step_s=step_s: 1e9 + step_s)
        found = it.find()
        assert found is not None
        assert found.pid == pid


def test_one_that_is_stopped_is_known_as_that_and_ends_when_it_is_told_to(it: Background) -> None:
    pid = start(it, SLEEP)
    assert not it.is_frozen()
    os.kill(pid, signal.SIGSTOP)
    until(it.is_frozen, "for it to be stopped")
    assert it.stop(60) is False
    assert it.find() is None
