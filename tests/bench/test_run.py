"""`python -m bench` as a whole: a short run, and one that is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.unit.bundle.parts import PROJECT

SHORT = ["--only", "lenet-28/plain/rest-bytes", "--clients", "2", "--engines", "model-server,bare", "--rounds", "1"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "bench", *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_short_run_measures_switches_and_writes_its_results(tmp_path: Path) -> None:
    process = start(*SHORT, "--slice", "1", "--switches", "1", "--output", str(tmp_path))
    out, problems = process.communicate(timeout=200)
    assert (problems, process.returncode) == ("", 0)
    (folder,) = tmp_path.iterdir()
    assert "lenet-28/plain/rest-bytes c=2" in out
    results = json.loads((folder / "results.json").read_text())
    assert results["cases"][0]["samples"]["model-server"][0]["rate"] > 10
    assert [(switch["model"], switch["failed"]) for switch in results["switches"]] == [("lenet-28-plain", 0)]
    assert (folder / "report.md").is_file()


def test_ctrl_c_ends_everything_that_was_started(tmp_path: Path) -> None:
    process = start(*SHORT, "--slice", "60", "--output", str(tmp_path))
    assert process.stdout is not None
    bench = psutil.Process(process.pid)
    seen: set[psutil.Process] = set()
    end = time.monotonic() + 120
    while not any("bench.load" in " ".join(_command(child)) for child in seen):
        assert time.monotonic() < end, "no load was started"
        assert process.poll() is None, process.communicate()
        seen |= set(bench.children(recursive=True))
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=60)
    assert process.returncode == 130
    assert problems == "error: interrupted\n"
    _, alive = psutil.wait_procs(seen, timeout=20)
    assert alive == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
