"""One real training of LeNet on the digits with the defaults, shared by all tests here."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import manifest
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


def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=root,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trainer(root: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command."""
    process = start(root, *arguments, **environment)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = bundle_root(tmp_path_factory.mktemp("bundle"))
    status, out, err = trainer(root, "train", "--model-type", "LenetModel", "--model-name", "Digits")
    assert status == 0, err
    return Published(root, out, err)


@pytest.fixture(scope="session")
def loaded(published: Published) -> LoadedVersion:
    return LoadedVersion(published.version)
