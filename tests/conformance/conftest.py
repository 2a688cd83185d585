"""The server that is asked: one that is started here, or one elsewhere that serves the models of `models.py`.

CONFORMANCE_HOST=name, with CONFORMANCE_REST_PORT and CONFORMANCE_GRPC_PORT, asks one elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.engine.engine import Engine
from tests.engine.made import made_once


@dataclass(frozen=True)
class Address:
    """Where the server under test listens."""

    host: str
    rest_port: int
    grpc_port: int


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The address of a server on which kitchen and digits are AVAILABLE."""
    host = os.environ.get("CONFORMANCE_HOST")
    if host:
        rest_port = int(os.environ.get("CONFORMANCE_REST_PORT") or 8501)
        yield Address(host, rest_port, int(os.environ.get("CONFORMANCE_GRPC_PORT") or 8500))
        return
    folder = tmp_path_factory.mktemp("conformance")
    models = made_once("tests.conformance.models", tmp_path_factory)
    flags = (
        f"--model_config_file={models / 'models.config'}",
        "--allow_version_labels_for_unavailable_models=true",
    )
    engine = Engine(folder / "engine.log", flags)
    try:
        engine.wait_ready()
        for model in ("kitchen", "digits"):  # The port is open as soon as one version of each is there.
            engine.until(lambda: set(engine.states(model).values()) == {"AVAILABLE"})  # noqa: B023 - called at once
        yield Address("127.0.0.1", engine.rest_port, engine.grpc_port)
    finally:
        engine.kill()
