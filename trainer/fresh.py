"""Verify a version in a fresh process: what it needs but does not hold cannot be there by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bundle.errors import RefusedVersion


def verify(folder: Path) -> str:
    """What `trainer verify` says about the version in `folder`; raises RefusedVersion with its reason."""
    # On the CPU: this process may hold the GPUs' memory, and the reference logits come from the CPU as well.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "trainer", "verify", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit status {done.returncode} without a word"
        raise RefusedVersion(f"the export was not published: {reason.removeprefix('error: ')}")
    return done.stdout.strip()
