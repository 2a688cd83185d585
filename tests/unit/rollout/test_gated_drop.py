"""A drop that passes through the real gate, and what it is compared with."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import gate
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.model import Model
from tests.unit.bundle.parts import MODEL, PROJECT, finish, make_version, start

QUIET = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savedmodels")
    made = start([sys.executable, "-m", "tests.unit.rollout.savedmodels", str(folder)], cwd=PROJECT, env=QUIET)
    output = finish(made, 60)
    assert made.returncode == 0, output
    return folder


def test_a_dropped_model_is_checked_against_the_live_one_and_published(
    models: Path, settings: Settings, client: Client, base: Path
) -> None:
    shutil.copytree(models / "good", base / "1")
    box = Dropbox(Model(MODEL, base, settings, client))
    box.recover()
    box.accept(Path(shutil.copytree(models / "good", box.folder / "mine")))
    assert list(version_folders(base)) == [1, 2]
    assert client.available(MODEL) == [2]


def test_a_live_folder_that_is_no_saved_model_is_not_compared_with(
    settings: Settings, client: Client, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Path | None] = []

    def run(candidate: Path, live: Path | None, *_: object, **__: object) -> gate.Report:
        compared.append(live)
        return gate.Report(False, "enough seen")

    monkeypatch.setattr(gate, "run", run)
    (base / "3").mkdir(parents=True)
    box = Dropbox(Model(MODEL, base, settings, client))
    box.recover()
    box.accept(make_version(box.folder / "mine"))
    assert compared == [None]
