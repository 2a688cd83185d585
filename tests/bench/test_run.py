"""`python -m bench` as a whole: a short run, and one that is interrupted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from bench.floors import FLOORS
from tests.unit.bundle.parts import PROJECT
from tests.waiting import until

SHORT = ["--only", "lenet-28/plain/rest-bytes", "--rounds", "1"]


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-u", "-m", "bench", *arguments]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_short_run_measures_switches_and_compares_with_the_floor(tmp_path: Path) -> None:
    """Whether the floor is kept depends on the machine; that the exit status says so does not."""
    engines = ("--engines", "model-server,fastapi", "--switches", "1")
    process = start(*SHORT, "--clients", "16", "--slice", "1", *engines, "--output", str(tmp_path))
    out, problems = process.communicate(timeout=250)
    (folder,) = tmp_path.iterdir()
    results = json.loads((folder / "results.json").read_text())
    samples = {engine: rounds[0] for engine, rounds in results["cases"][0]["samples"].items()}
    assert {engine for engine, sample in samples.items() if sample["rate"] > 0} == {"model-server", "fastapi"}
    assert [sample["failed"] for sample in samples.values()] == [0, 0]
    assert [(switch["model"], switch["failed"]) for switch in results["switches"]] == [("lenet-28-plain", 0)]
    (floor, elsewhere) = FLOORS
    kept = samples["model-server"]["rate"] / samples["fastapi"]["rate"] >= floor.least
    assert re.search(rf"^{'kept' if kept else 'MISSED'} +{floor.case} c=16: ", out, re.MULTILINE)
    assert re.search(rf"^not measured +{elsewhere.case} c=16: ", out, re.MULTILINE)
    assert process.returncode == (0 if kept else 1)
    assert bool(problems) is not kept
    assert "## Floors" in (folder / "report.md").read_text()


def test_ctrl_c_ends_everything_that_was_started(tmp_path: Path) -> None:
    process = start(*SHORT, "--engines", "model-server", "--slice", "60", "--output", str(tmp_path))
    bench = psutil.Process(process.pid)
    seen: set[psutil.Process] = set()

    def under_load() -> bool:
        assert process.poll() is None, process.communicate()
        seen.update(bench.children(recursive=True))
        return any("bench.load" in " ".join(_command(child)) for child in seen)

    until(under_load, "for the load to start", 200)
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=60)
    assert process.returncode == 130
    assert problems == "error: interrupted\n"
    _, alive = psutil.wait_procs(seen, timeout=60)
    assert alive == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
