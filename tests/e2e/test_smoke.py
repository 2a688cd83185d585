"""The smoke tests themselves: they pass on a good stack and say plainly when the server dies under them."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from tests.e2e.conftest import ROOT, Bundle


def _start(serving: Bundle, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "smoke"), "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(
        command,
        cwd=serving.root,
        env={**os.environ, **serving.environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_passes_and_ends_with_a_table(serving: Bundle) -> None:
    before = serving.available()
    process = _start(serving, "-q")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "what was checked" in output
    assert "passed   A dropped copy goes live and is rolled back without a failed request" in output
    assert serving.available() == before
    assert not list(serving.quarantine.iterdir()), "the smoke test cleans up after itself"


def test_says_that_the_server_died(serving: Bundle) -> None:
    process = _start(serving, "-v")
    assert process.stdout is not None
    for line in process.stdout:
        if "PASSED" in line:
            break
    record = {"pid": serving.pid("model-server")}
    psutil.Process(record["pid"]).kill()
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "does not answer" in output
    assert "make logs" in output
    assert "Traceback" not in output
