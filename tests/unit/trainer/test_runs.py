from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundle.errors import BundleError
from trainer import runs

_HOLD = """
import sys, time
from pathlib import Path
from trainer import runs
with runs.new(Path(sys.argv[1])) as (run, scratch):
    (scratch / "half").write_text("x")
    print(run, flush=True)
    time.sleep(60)
"""


def start_run(folder: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def test_the_scratch_folder_goes_and_the_run_folder_stays(tmp_path: Path) -> None:
    with runs.new(tmp_path) as (run, scratch):
        (scratch / "checkpoint").write_text("x")
        (run / "history.csv").write_text("x")
    assert [path.name for path in run.iterdir()] == ["history.csv"]


def test_the_scratch_folder_goes_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), runs.new(tmp_path) as (_, scratch):
        raise RuntimeError
    assert not scratch.exists()


def test_two_runs_in_one_second_have_a_folder_each(tmp_path: Path) -> None:
    with runs.new(tmp_path) as (first, _), runs.new(tmp_path) as (second, _):
        assert first != second


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    process, run = start_run(tmp_path)
    end(process)
    assert (run / ".scratch" / "half").exists()
    with runs.new(tmp_path):
        assert list(run.iterdir()) == []


def test_a_living_run_is_not_swept(tmp_path: Path) -> None:
    process, run = start_run(tmp_path)
    try:
        with runs.new(tmp_path):
            assert (run / ".scratch" / "half").exists()
        assert process.poll() is None
    finally:
        end(process)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(BundleError, match=r"cannot write into .*runs"), runs.new(tmp_path / "runs"):
        pass


def test_the_folder_is_named_by_the_time(tmp_path: Path) -> None:
    with runs.new(tmp_path) as (run, _):
        assert abs(time.mktime(time.strptime(run.name, "%Y-%m-%dT%H-%M-%S")) - time.time()) < 60
