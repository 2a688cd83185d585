"""The check of a candidate with real SavedModels: the slow tests of this folder, since each loads TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import check, gate
from rollout.client import Client
from rollout.drop import Dropbox
from rollout.model import Model
from tests.unit.bundle.parts import MODEL, PROJECT, finish, make_version, python, start

CHECK_ALL = """
import dataclasses, json, sys
from pathlib import Path
from rollout import check, gate
live = Path(sys.argv[1])
for name in sys.argv[2:]:
    verdict = check.examine(Path(name), live)
    print("verdict", json.dumps([Path(name).name, verdict.passed, verdict.reason]))
"""
QUIET = {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("savedmodels")
    made = start([sys.executable, "-m", "tests.unit.rollout.savedmodels", str(folder)], cwd=PROJECT, env=QUIET)
    output = finish(made, 60)
    assert made.returncode == 0, output
    return folder


def test_each_candidate_gets_its_verdict(models: Path, tmp_path: Path) -> None:
    no_variables, garbage = tmp_path / "no_variables", tmp_path / "garbage"
    shutil.copytree(models / "good", no_variables)
    shutil.rmtree(no_variables / "variables")
    shutil.copytree(models / "good", garbage)
    (garbage / "saved_model.pb").write_bytes(b"\xff garbage")
    candidates = [models / "good", models / "other_name", models / "other_shape", models / "wants_more"]
    process = python(CHECK_ALL, models / "good", *candidates, no_variables, garbage, env=QUIET)
    output = finish(process, 60)
    lines = [line for line in output.splitlines() if line.startswith("verdict ")]
    found = {name: (passed, reason) for name, passed, reason in map(json.loads, (line[8:] for line in lines))}
    assert len(found) == 6, output
    assert found["good"] == (True, "")
    assert not any(passed for name, (passed, _) in found.items() if name != "good")
    assert "input x: expected DT_FLOAT [-1] as live, found no such input, only z" in found["other_name"][1]
    assert "input x: expected DT_FLOAT [-1] as live, found DT_FLOAT [-1, 3]" in found["other_shape"][1]
    assert "wants inputs that the live version does not: extra" in found["wants_more"][1]
    assert found["no_variables"][1].startswith("it does not load: ")
    assert found["garbage"][1].startswith("it does not load: ")


def test_a_dropped_model_is_checked_against_the_live_one_and_published(
    models: Path, settings: Settings, client: Client, base: Path
) -> None:
    shutil.copytree(models / "good", base / "1")
    box = Dropbox(Model(MODEL, base, settings, client))
    box.recover()
    box.accept(Path(shutil.copytree(models / "good", box.folder / "mine")))
    assert list(version_folders(base)) == [1, 2]
    assert client.available(MODEL) == [2]


def test_one_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    verdict = check.run(tmp_path, None, 0.05)
    assert not verdict.passed
    assert "within 0.05 s (CHECK_TIMEOUT_SECONDS)" in verdict.reason


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9: no output"),
        ("import os, sys; sys.stderr.buffer.write(b'\\xff oops\\n'); sys.stderr.flush(); os._exit(7)", "status 7: "),
        ("import os; os.write(1, b'\\xff\\n'); os._exit(0)", "ended with status 0"),
    ],
)
def test_one_that_brings_its_process_down_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: str, said: str
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(crash)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT}")
    verdict = check.run(tmp_path, None, 30)
    assert not verdict.passed
    assert said in verdict.reason


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
