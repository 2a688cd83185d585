"""SavedModels that are made once per test run, by a process of their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}


def made_once(module: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `python -m module FOLDER` filled; all processes of a test run share it, so only read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"made-by-{module}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            subprocess.run([sys.executable, "-m", module, str(folder)], check=True, env=ENVIRONMENT)
            (folder / "done").touch()
    return folder
