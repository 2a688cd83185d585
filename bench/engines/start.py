"""Starting an engine on a model."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from bench import processes, savedmodels
from bench.cases import FROZEN, Model
from bench.engines import bare
from bench.engines.base import Address, Engine
from bench.engines.network import NetworkEngine
from bench.processes import Started

_START_S = 120.0


def model_server(model: Model, work: Path) -> Engine:
    """Our engine with its default flags, on a base path of its own (`base_path`)."""
    rest_port, grpc_port = processes.free_ports()
    command = [
        sys.executable,
        "-m",
        "serving.main",
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_name={model.name}",
        f"--model_base_path={base_path(model, work)}",
    ]
    address = Address("127.0.0.1", rest_port, grpc_port)
    return _started("model-server", model, address, work, command, {})


def fastapi(model: Model, work: Path) -> Engine:
    """FastAPI in one process, with uvicorn's fast loop and parser and without its access log."""
    rest_port, _ = processes.free_ports()
    command = [sys.executable, "-m", "uvicorn", "bench.engines.baseline:app", f"--port={rest_port}"]
    environment = {"MODEL_PATH": str(savedmodels.folder(model)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    address = Address("127.0.0.1", rest_port)
    return _started("fastapi", model, address, work, [*command, "--no-access-log"], environment)


def bare_function(model: Model, work: Path) -> Engine | None:
    """The in-process limit; of the frozen form only, that being the faster one."""
    return bare.BareEngine(model, savedmodels.folder(model), work) if model.form == FROZEN else None


ENGINES: dict[str, Callable[[Model, Path], Engine | None]] = {
    "model-server": model_server,
    "fastapi": fastapi,
    bare.NAME: bare_function,
}


def base_path(model: Model, work: Path) -> Path:
    """A base path that holds version 1 of `model`, where more versions can be published."""
    path = work / "models" / model.name
    path.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (path / "1").symlink_to(savedmodels.folder(model))
    return path


def _started(
    name: str, model: Model, address: Address, work: Path, command: list[str], environment: dict[str, str]
) -> Engine:
    started = Started(command, work / f"{name}-{model.name}.log", environment)
    engine = NetworkEngine(name, model, address, work, started=started)
    try:
        engine.wait_available(_START_S)
    except BaseException:
        engine.close()
        raise
    return engine
