"""The server that is fuzzed: every signature of the conformance models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.engine import Engine
from tests.engine.made import made_once


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server with limits low enough to be reached."""
    folder = tmp_path_factory.mktemp("fuzz")
    models = made_once("tests.conformance.models", tmp_path_factory)
    flags = (
        f"--model_config_file={models / 'models.config'}",
        "--allow_version_labels_for_unavailable_models=true",
        "--max_request_body_bytes=1000000",
        "--http_read_timeout_seconds=5",
        "--rest_api_timeout_in_ms=5000",
    )
    engine = Engine(folder / "engine.log", flags)
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.kill()
