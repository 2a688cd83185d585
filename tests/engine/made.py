"""What is made once per test run, however many processes it has: SavedModels, trained versions. Only read it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}


def once(name: str, make: Callable[[Path], object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make` filled, in this process of the test run or in another, which is then waited for."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"made-{name}"
    with (base / f"made-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / f"made-{name}.done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (base / f"made-{name}.done").touch()
    return folder


def made_once(module: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `python -m module FOLDER` filled."""

    def run(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", module, str(folder)], check=True, env=ENVIRONMENT)

    return once(module, run, tmp_path_factory)
