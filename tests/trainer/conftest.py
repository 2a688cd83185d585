"""One real training of LeNet on the digits with the defaults, shared by all tests here."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import manifest
from tests import forks
from tests.engine.made import once
from trainer import cli
from trainer.verify import LoadedVersion

MODELS = ("Digits", "Shapes")


@dataclasses.dataclass(frozen=True)
class Published:
    """What `trainer train` printed, and where."""

    root: Path
    output: str
    errors: str

    @property
    def version(self) -> Path:
        return self.root / "models" / "Digits" / "1"

    @property
    def manifest(self) -> manifest.Manifest:
        found = manifest.read(self.version)
        assert found is not None
        return found


def _entry(model: str) -> str:
    return f' config {{ name: "{model}" base_path: "/models/{model}" model_platform: "tensorflow" }}'


def bundle_root(folder: Path) -> Path:
    (folder / ".env").touch()
    (folder / "models.config").write_text("model_config_list {" + "".join(map(_entry, MODELS)) + "}\n")
    return folder


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """A trainer that a failed test has left would slow down all that come after it."""
    yield
    while _started:
        process = _started.pop()
        process.kill()
        process.communicate()


def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=root,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _started.append(process)
    return process


def trainer(root: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command, which finds TensorFlow in memory."""
    return forks.run(cli.main, arguments, root, {"CUDA_VISIBLE_DEVICES": "-1", **environment})


def fresh_trainer(root: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command as users start it."""
    process = start(root, *arguments)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A training that was run once for all processes of the test run."""

    def train(root: Path) -> None:
        flags = ("--model-type", "LenetModel", "--model-name", "Digits")
        status, out, err = fresh_trainer(bundle_root(root), "train", *flags)
        assert status == 0, err
        (root / "output").write_text(out)
        (root / "errors").write_text(err)

    root = once("published", train, tmp_path_factory)
    return Published(root, (root / "output").read_text(), (root / "errors").read_text())


@pytest.fixture(scope="session")
def loaded(published: Published) -> LoadedVersion:
    return LoadedVersion(published.version)
