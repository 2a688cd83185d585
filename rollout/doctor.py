"""`rollout doctor`: what this machine has, one line per check, each with what to do when it is not right.

A warning is something that narrows what can be used; a problem is something that makes a command fail.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from bundle import output
from bundle.errors import BundleError
from bundle.files import size_in_bytes, why_not_writable
from bundle.models_config import base_paths
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import gpu_checks, ports, stack
from rollout.engines import docker_facts
from rollout.finding import Finding, Level

_LEAST_FREE_GB = 3
_GB = 1e9


Check = Callable[[Settings], Iterator[Finding]]


def run(settings: Settings) -> int:
    """Print every finding; exit status 1 when one is a problem."""
    findings = [finding for check in CHECKS for finding in check(settings)]
    for finding in findings:
        output.line(f"{finding.level.value:<8} {finding.name:<16} {finding.message}")
        if finding.remedy:
            output.line(f"{'':<25} -> {finding.remedy}")
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    output.line(f"\n{problems} problem(s), {warnings} warning(s)")
    return 1 if problems else 0


def _python(_: Settings) -> Iterator[Finding]:
    found = platform.python_version()
    right = (3, 10) <= sys.version_info[:2] <= (3, 12)
    remedy = "" if right else "make clean, then: make setup PYTHON=/path/to/python3.11"
    yield Finding("Python", Level.OK if right else Level.PROBLEM, f"{found} ({sys.executable})", remedy)


def _packages(_: Settings) -> Iterator[Finding]:
    versions = {name: _installed(name) for name in ("tensorflow-cpu", "tensorflow", "tensorflow-serving-api", "keras")}
    have = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    complete = (versions["tensorflow-cpu"] or versions["tensorflow"]) and versions["tensorflow-serving-api"]
    level = Level.OK if complete else Level.PROBLEM
    yield Finding("packages", level, have or "no TensorFlow", "" if complete else "make clean setup")


def _docker(_: Settings) -> Iterator[Finding]:
    facts, why_not = docker_facts.ask()
    if facts is None:
        remedy = "install and start Docker to serve from containers; without it ENGINE=local serves"
        yield Finding("Docker", Level.WARNING, why_not, remedy)
        yield Finding("compose", Level.WARNING, "needs Docker")
        return
    yield Finding("Docker", Level.OK, f"engine {facts.version}, {facts.architecture}")
    if facts.compose:
        yield Finding("compose", Level.OK, facts.compose)
    else:
        yield Finding("compose", Level.WARNING, "`docker compose` does not answer", "install the compose plugin")
    if facts.gpu:
        yield Finding("GPU in Docker", Level.OK, "containers can be given a GPU")
    else:
        yield Finding(
            "GPU in Docker", Level.WARNING, "no nvidia runtime, no CDI device", "install the nvidia-container-toolkit"
        )


def _ports(settings: Settings) -> Iterator[Finding]:
    engine = stack.running(settings)
    if engine is not None:
        own = engine.settings
        yield Finding("ports", Level.OK, f"{own.rest_port} and {own.grpc_port} are ours (engine: {engine.name})")
        return
    for setting in ("REST_PORT", "GRPC_PORT"):
        port = getattr(settings, setting.lower())
        try:
            ports.require_free(settings.bind, port, setting)
            yield Finding(setting, Level.OK, f"{port} on {settings.bind} is free")
        except BundleError as error:
            yield Finding(setting, Level.PROBLEM, str(error))


def _processes(settings: Settings) -> Iterator[Finding]:
    engine = stack.running(settings)
    for sentence in engine.what_is_wrong() if engine else []:
        message, _, remedy = sentence.partition("; ")
        yield Finding("processes", Level.PROBLEM, message, remedy)


def _disk(settings: Settings) -> Iterator[Finding]:
    free_gb = shutil.disk_usage(settings.root).free / _GB
    level = Level.OK if free_gb >= _LEAST_FREE_GB else Level.WARNING
    remedy = "" if level is Level.OK else f"less than {_LEAST_FREE_GB} GB: remove old versions, runs and quarantine"
    yield Finding("disk", level, f"{free_gb:.1f} GB free at {settings.root}", remedy)


def _folders(settings: Settings) -> Iterator[Finding]:
    for name in ("models_dir", "drop_dir", "quarantine_dir", "runs_dir"):
        folder: Path = getattr(settings, name)
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        problem, _, remedy = why_not_writable(nearest).partition(". ")
        if problem:
            yield Finding(name.upper(), Level.PROBLEM, problem, remedy)
        else:
            state = "writable" if nearest == folder else "not there yet, can be made"
            yield Finding(name.upper(), Level.OK, f"{folder} is {state}")


def _models(settings: Settings) -> Iterator[Finding]:
    try:
        listed = base_paths(settings.root / "models.config", settings.models_dir)
    except BundleError as error:
        yield Finding(
            "models.config", Level.PROBLEM, str(error), "mend the file; the server goes on with the last good one"
        )
        return
    if settings.model_name not in listed:
        message = f"does not list MODEL_NAME={settings.model_name}"
        yield Finding("models.config", Level.PROBLEM, message, "add it, or change MODEL_NAME")
    for model, base_path in listed.items():
        folders = version_folders(base_path)
        numbers = ", ".join(map(str, folders)) or "none yet"
        size = sum(size_in_bytes(folder) for folder in folders.values()) / _GB
        remedy = (
            "" if folders else "make up trains one" if model == settings.model_name else f"put one into {base_path}"
        )
        level = Level.OK if folders or model == settings.model_name else Level.WARNING
        yield Finding(f"{model}"[:16], level, f"versions: {numbers} ({size:.2f} GB)", remedy)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


CHECKS: tuple[Check, ...] = (_python, _packages, _docker, gpu_checks.gpus, _ports, _processes, _disk, _folders, _models)
"""In the order in which they are printed."""
