from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.engine import Engine, Kits
from tests.engine.made import made_once

StartEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Kits:
    """The SavedModels."""
    return Kits(made_once("tests.engine.models", tmp_path_factory))


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[StartEngine]:
    """Starts model servers on free ports; what still runs at the end of the test is killed."""
    started: list[Engine] = []

    def start(*flags: str, wait: bool = True, fresh: bool = False) -> Engine:
        started.append(Engine(tmp_path / f"engine-{len(started)}.log", flags, fresh))
        if wait:
            started[-1].wait_ready()
        return started[-1]

    yield start
    for engine in started:
        engine.kill()


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One model server for all tests that need no flags; each adds a model of its own with `serve`."""
    folder = tmp_path_factory.mktemp("shared")
    config = folder / "models.config"
    config.write_text("model_config_list {}")
    flags = ("--max_num_load_retries=1", "--load_retry_interval_micros=300000")
    engine = Engine(folder / "engine.log", (f"--model_config_file={config}", *flags))
    engine.wait_ready()
    yield engine
    engine.kill()
