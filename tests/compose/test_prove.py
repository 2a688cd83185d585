"""The proof, shortened, with a server and a drop watcher in containers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose.stack import Images
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.docker


@pytest.mark.timeout(900)
def test_no_request_is_lost_in_a_day_of_rollouts(images: Images, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rollout.prove", "--engine", "embedded", "--short", "--output", str(tmp_path)]
    environment = {**os.environ, "EMBEDDED_IMAGE": images.server, "TRAINER_IMAGE": images.trainer, "MAKEFLAGS": ""}
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(r"\n[0-9]{4,} requests, 0 failed, 0 answered by a version that was not to", answer.stdout)
    assert "0 answered by a version that was refused" in (tmp_path / "prove.md").read_text()
