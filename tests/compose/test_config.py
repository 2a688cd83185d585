"""`docker compose config` takes every combination of files, also with other values. Needs no Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.environment import load
from bundle.settings import table
from rollout.engines.compose import ComposeEngine
from tests.unit.bundle.parts import PROJECT

FILES = [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]]


@pytest.fixture(scope="module", autouse=True)
def compose() -> None:
    if shutil.which("docker") is None:
        pytest.skip("the docker command is not installed")
    answer = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"`docker compose` does not answer: {answer.stderr.strip().splitlines()[:1]}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of its own with the compose files in it."""
    for name in FILES[-1]:
        shutil.copyfile(PROJECT / name, tmp_path / name)
    return tmp_path


def config(files: list[str] | ComposeEngine) -> dict[str, Any]:
    """What compose makes of the files alone, or of the files and variables of an engine."""
    variables = {name: value for name, value in os.environ.items() if name not in {row.name for row in table()}}
    cwd = PROJECT
    if isinstance(files, ComposeEngine):
        cwd, variables = files.settings.root, {**variables, **files.compose_environment()}
        files = [str(path) for path in files.compose_files()]
    named = [part for file in files for part in ("--file", file)]
    answer = subprocess.run(
        ["docker", "compose", *named, "--profile", "*", "config"],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "variable is not set" not in answer.stderr
    document: dict[str, Any] = yaml.safe_load(answer.stdout)
    return document


@pytest.mark.parametrize("files", FILES, ids=" + ".join)
def test_it_is_valid_with_nothing_set(files: list[str]) -> None:
    assert set(config(files)["services"]) == {"server", "config", "watcher", "gate", "trainer"}


@pytest.mark.parametrize("engine", ["cpu", "embedded", "gpu"])
def test_it_is_valid_with_what_each_engine_sets(root: Path, engine: str) -> None:
    given = ComposeEngine(load(root), engine)
    assert set(config(given)["services"]) == {"server", "config", "watcher", "gate", "trainer"}


def gpu_devices(root: Path, **settings: str) -> list[dict[str, Any]]:
    """The device reservations of the server, which are those of the trainer."""
    services = config(ComposeEngine(load(root, settings), "gpu"))["services"]
    devices = [services[name]["deploy"]["resources"]["reservations"]["devices"] for name in ("server", "trainer")]
    assert devices[0] == devices[1]
    return list(devices[0])


def test_gpus_are_reserved_by_number(root: Path) -> None:
    assert gpu_devices(root) == [{"capabilities": ["gpu"], "driver": "nvidia", "count": 1}]
    assert gpu_devices(root, GPU_COUNT="3")[0]["count"] == 3
    assert gpu_devices(root, GPU_COUNT="all")[0]["count"] == -1


def test_gpus_are_reserved_by_id(root: Path) -> None:
    """Ids instead of a number: Docker takes one or the other."""
    (device,) = gpu_devices(root, GPU_IDS="0,GPU-8a56a4bc")
    assert device == {"capabilities": ["gpu"], "driver": "nvidia", "device_ids": ["0", "GPU-8a56a4bc"]}


def test_the_gpu_trainer_has_an_image_of_its_own(root: Path) -> None:
    trainer = config(ComposeEngine(load(root), "gpu"))["services"]["trainer"]
    assert trainer["image"].endswith("-gpu")
    assert trainer["build"]["target"] == "gpu"
