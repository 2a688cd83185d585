"""The commands that change what runs: up, down, restart, train."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from bundle import environment, output, publish
from bundle.errors import BundleError, RefusedVersion, UsageError
from bundle.models_config import base_path_of, base_paths
from bundle.settings import TRAINER, Settings
from bundle.versions import version_folders
from rollout import labels, ledger, model, prediction, release, stack, trainings, waiting
from rollout.engines.base import Engine
from rollout.engines.choose import build, choose


def up(settings: Settings) -> int:
    """Serve, from nothing if need be: train version 1, start, wait until AVAILABLE, predict, say what is next."""
    with stack.exclusive(settings):
        engine = stack.running(settings)
        if engine is not None:
            stack.require_same_folders(settings, engine)
            return _already_running(engine)
        base_path = _base_path(settings)
        choice = choose(settings)
        output.step(f"engine: {choice.name} ({choice.reason})")
        engine = build(choice.name, settings)
        engine.preflight()
        first = model.Model(settings.model_name, base_path, settings, None)
        if not version_folders(base_path):
            _take_up_trainings(first)
        if not version_folders(base_path):
            output.step(f"{settings.model_name} has no version yet: training one")
            status = _train_and_release(engine, first, [])
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
    """Start a new server with the settings of now; beside the old one where that can be: no request is lost."""
    with stack.exclusive(settings):
        engine = stack.remembered(settings)
        if engine is None:
            raise BundleError("nothing is running; run: make up")
        if engine.replace():
            version = _wait(engine, engine.settings.model_name, None)
            _say_available(engine, _base_path(engine.settings), version, "restart of the server")
            return 0
        engine.stop()
        output.step(f"stopped (engine: {engine.name})")
        _start(engine, _base_path(engine.settings))
    return 0


def train(settings: Settings, arguments: Sequence[str]) -> int:
    """Train, and release what comes out as the next version; the trainer's exit status when it fails."""
    running = stack.running(settings)
    engine = running or build(choose(settings).name, settings)
    released_to = model.find(_with_flags(settings, arguments, running))
    for name in trainings.staged(released_to.base_path):
        folder = trainings.folder_of(released_to.base_path, name)
        output.line(f"an earlier training waits in {folder}; release it: make publish FROM={folder}")
    status = _train_and_release(engine, released_to, arguments)
    if status == 0 and running is None:
        output.line("it will be served after: make up")
    return status


def _with_flags(settings: Settings, arguments: Sequence[str], running: Engine | None) -> Settings:
    """`settings` with the trainer's flags for them, which decide where the training is staged."""
    parser = argparse.ArgumentParser(prog="rollout train --")
    environment.add_arguments(parser, TRAINER)
    flags = environment.overrides_from(parser.parse_known_args(arguments)[0])
    given = environment.load(settings.root, flags)
    served = running.settings.models_dir if running else given.models_dir
    if "MODELS_DIR" in flags and given.models_dir != served:
        raise UsageError(
            f"--models-dir {given.models_dir}: what runs serves {served}; leave the flag out, or: make down"
        )
    return dataclasses.replace(settings, **{name.lower(): getattr(given, name.lower()) for name in flags})


def _train_and_release(engine: Engine, released_to: model.Model, arguments: Sequence[str]) -> int:
    """The trainer stages its version in the base path, and it goes live as any other does."""
    labels.require_none(released_to)  # Before the minutes that a training takes.
    base_path, name = released_to.base_path, trainings.new_name()
    publish.prepare(base_path)
    with trainings.to_itself(base_path, name):
        where = ["--models-dir", str(released_to.settings.models_dir), "--staged-as", name]
        status = engine.train([*arguments, *where])
        if status == 0:
            with trainings.kept(released_to, name):
                trainings.release(released_to, name)
    return status


def _take_up_trainings(released_to: model.Model) -> None:
    """Release what earlier trainings have left in the base path; one that is refused is not the last word."""
    for name in trainings.staged(released_to.base_path):
        output.step(f"an earlier training waits in {trainings.folder_of(released_to.base_path, name)}: releasing it")
        try:
            trainings.release_now(released_to, name)
        except RefusedVersion as error:
            output.warn(str(error))


def _base_path(settings: Settings) -> Path:
    return base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)


def _already_running(engine: Engine) -> int:
    settings = engine.settings
    engine.complete()
    engine.check_awake()
    _wait(engine, settings.model_name, None)
    served = engine.client().available(settings.model_name)
    versions = ", ".join(map(str, served)) or "no version of"
    output.line(
        f"already running (engine: {engine.name}): {settings.model_name} version {versions} "
        f"at {engine.client().rest_url}"
    )
    for sentence in engine.what_is_wrong():
        output.warn(sentence)
    return 0


def _start(engine: Engine, base_path: Path) -> None:
    """Start and wait for the first version; what does not get that far is stopped again."""
    _note_what_is_there(engine.settings)
    engine.start()
    stack.remember(engine)
    try:
        version = _wait(engine, engine.settings.model_name, None)
        engine.wait_healthy()
    except BaseException:
        engine.stop()
        stack.forget(engine.settings)
        raise
    _say_available(engine, base_path, version, "start of the server")


def _say_available(engine: Engine, base_path: Path, version: int, origin: str) -> None:
    output.step(f"{engine.settings.model_name} version {version} is AVAILABLE")
    started = model.Model(engine.settings.model_name, base_path, engine.settings, engine.client())
    started.ledger.append(ledger.AVAILABLE, version, origin=origin)
    newest = max(version_folders(base_path), default=version)
    if newest > version:
        output.warn(f"version {newest} is newer than what is served; see why with: make status")


def _note_what_is_there(settings: Settings) -> None:
    """Have the ledgers hold a line for every version that is about to be served."""
    for name, path in base_paths(settings.root / "models.config", settings.models_dir).items():
        try:
            release.catch_up(model.Model(name, path, settings, None))
        except (BundleError, OSError) as error:
            output.warn(f"cannot note which versions of {name} are there: {error}")


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
