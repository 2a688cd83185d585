"""The commands that change what runs: up, down, restart, train."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bundle import files, output
from bundle.errors import BundleError
from bundle.models_config import base_path_of
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import ledger, model, prediction, release, stack, waiting
from rollout.engines.base import Engine
from rollout.engines.choose import build, choose

_TRAINED_PREFIX = ".trained-"


def up(settings: Settings) -> int:
    """Serve, from nothing if need be: train version 1, start, wait until AVAILABLE, predict, say what is next."""
    with stack.exclusive(settings):
        engine = stack.running(settings)
        if engine is not None:
            return _already_running(engine)
        base_path = _base_path(settings)
        choice = choose(settings)
        output.step(f"engine: {choice.name} ({choice.reason})")
        engine = build(choice.name, settings)
        engine.preflight()
        if not version_folders(base_path):
            output.step(f"{settings.model_name} has no version yet: training one")
            status = _train_and_release(engine, model.Model(settings.model_name, base_path, settings, None), [])
            if status != 0:
                return status
        _start(engine, base_path)
    _show_prediction(engine, base_path)
    _say_next(engine)
    return 0


def down(settings: Settings) -> int:
    """Stop what `up` started; fine when nothing runs."""
    with stack.exclusive(settings):
        engine = stack.remembered(settings)
        if engine is None:
            output.line("nothing is running")
            return 0
        engine.stop()
        stack.forget(settings)
    output.step(f"stopped (engine: {engine.name})")
    return 0


def restart(settings: Settings) -> int:
    """Stop and start the server with the settings of now; the versions in models/ stay as they are."""
    with stack.exclusive(settings):
        engine = stack.remembered(settings)
        if engine is None:
            raise BundleError("nothing is running; run: make up")
        engine.stop()
        output.step(f"stopped (engine: {engine.name})")
        _start(engine, _base_path(engine.settings))
    return 0


def train(settings: Settings, arguments: Sequence[str]) -> int:
    """Train, and release what comes out as the next version; the trainer's exit status when it fails."""
    running = stack.running(settings)
    engine = running or build(choose(settings).name, settings)
    status = _train_and_release(engine, model.find(settings), arguments)
    if status == 0 and running is None:
        output.line("it will be served after: make up")
    return status


def _train_and_release(engine: Engine, released_to: model.Model, arguments: Sequence[str]) -> int:
    """The trainer leaves its version in RUNS_DIR, and it goes live as any other does."""
    settings = released_to.settings
    with _scratch(settings.runs_dir) as folder:
        trained = folder / settings.model_name
        status = engine.train(["--output", str(trained.relative_to(settings.runs_dir)), *arguments])
        if status == 0:
            release.release(released_to, release.Order(trained, "train"))
    return status


@contextlib.contextmanager
def _scratch(runs_dir: Path) -> Iterator[Path]:
    """A folder in RUNS_DIR that is gone afterwards; sweeps what killed commands left."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    for leftover in runs_dir.glob(f"{_TRAINED_PREFIX}*"):
        if not files.is_held(leftover):
            files.remove(leftover)
    folder = Path(tempfile.mkdtemp(prefix=_TRAINED_PREFIX, dir=runs_dir))
    with files.held(folder):
        try:
            yield folder
        finally:
            files.remove(folder)


def _base_path(settings: Settings) -> Path:
    return base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)


def _already_running(engine: Engine) -> int:
    settings = engine.settings
    served = engine.client().available(settings.model_name)
    versions = ", ".join(map(str, served)) or "no version of"
    output.line(
        f"already running (engine: {engine.name}): {settings.model_name} version {versions} "
        f"at {engine.client().rest_url}; changed nothing"
    )
    return 0


def _start(engine: Engine, base_path: Path) -> None:
    """Start and wait for the first version; what does not get that far is stopped again."""
    engine.start()
    stack.remember(engine)
    try:
        version = _wait(engine, engine.settings.model_name, None)
        engine.wait_healthy()
    except BaseException:
        engine.stop()
        stack.forget(engine.settings)
        raise
    output.step(f"{engine.settings.model_name} version {version} is AVAILABLE")
    started = model.Model(engine.settings.model_name, base_path, engine.settings, engine.client())
    started.ledger.append(ledger.AVAILABLE, version, origin="start of the server")
    newest = max(version_folders(base_path), default=version)
    if newest > version:
        output.warn(f"version {newest} is newer than what is served; see why with: make status")


def _wait(engine: Engine, name: str, version: int | None) -> int:
    timeout_s = engine.settings.ready_timeout_seconds
    return waiting.until_available(engine.client(), name, version, timeout_s, engine.check_alive)


def _show_prediction(engine: Engine, base_path: Path) -> None:
    name, client = engine.settings.model_name, engine.client()
    version = max(client.available(name))
    answer = prediction.predict(client, name, version_folders(base_path)[version])
    if answer is None:
        output.line(f"version {version} has no manifest, so there is no held-out image to try")
        return
    output.line()
    for row in answer.picture:
        output.line(f"    {row}")
    output.line()
    verdict = "right" if answer.is_right else "WRONG"
    output.line(
        f"    a held-out image of class {answer.expected}; the server says {answer.answered} "
        f"({answer.confidence:.1%}), over REST and gRPC: {verdict}"
    )


def _say_next(engine: Engine) -> None:
    name, url = engine.settings.model_name, engine.client().rest_url
    output.line(f"""
  Served at {url} (REST) and {engine.settings.bind}:{engine.settings.grpc_port} (gRPC). Next:

    curl {url}/v1/models/{name}
    make train                        train the next version and go over to it
    make smoke-test                   is everything right?
    cp -r mymodel {_short(engine.settings.drop_dir / name)}/     roll out a SavedModel of your own
    make down                         stop""")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
