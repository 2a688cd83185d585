from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.engine import Engine, Kits

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}

StartEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    """The SavedModels, made once by a process of its own."""
    folder = tmp_path_factory.mktemp("kits")
    subprocess.run([sys.executable, "-m", "tests.engine.models", str(folder)], check=True, env=ENVIRONMENT)
    return Kits(folder)


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[StartEngine]:
    """Starts model servers on free ports; what still runs at the end of the test is killed."""
    started: list[Engine] = []

    def start(*flags: str, wait: bool = True) -> Engine:
        started.append(Engine(tmp_path / f"engine-{len(started)}.log", flags))
        if wait:
            started[-1].wait_ready()
        return started[-1]

    yield start
    for engine in started:
        engine.kill()


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One model server for the tests of a module; each adds a model of its own with `serve`."""
    folder = tmp_path_factory.mktemp("shared")
    config = folder / "models.config"
    config.write_text("model_config_list {}")
    flags = ("--max_num_load_retries=1", "--load_retry_interval_micros=300000")
    engine = Engine(folder / "engine.log", (f"--model_config_file={config}", *flags))
    engine.wait_ready()
    yield engine
    engine.kill()
