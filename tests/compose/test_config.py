"""`docker compose config` takes every combination of files, also with other values. Needs no Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess

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


def config(files: list[str], **variables: str) -> dict[str, object]:
    clean = {name: value for name, value in os.environ.items() if name not in {row.name for row in table()}}
    named = [part for file in files for part in ("--file", file)]
    answer = subprocess.run(
        ["docker", "compose", *named, "--profile", "*", "config"],
        cwd=PROJECT,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "variable is not set" not in answer.stderr
    document: dict[str, object] = yaml.safe_load(answer.stdout)
    return document


@pytest.mark.parametrize("files", FILES, ids=" + ".join)
def test_it_is_valid_with_nothing_set(files: list[str]) -> None:
    assert set(config(files)["services"]) == {"server", "watcher", "trainer"}  # type: ignore[call-overload]


@pytest.mark.parametrize(("engine", "files"), [("cpu", FILES[0]), ("embedded", FILES[0]), ("gpu", FILES[1])])
def test_it_is_valid_with_what_each_engine_sets(engine: str, files: list[str]) -> None:
    environment = ComposeEngine(load(PROJECT), engine).compose_environment()
    assert set(config(files, **environment)["services"]) == {"server", "watcher", "trainer"}  # type: ignore[call-overload]
