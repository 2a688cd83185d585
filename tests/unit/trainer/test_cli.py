from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def trainer(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".env").touch()
    (tmp_path / "models.config").touch()
    return tmp_path


def test_help_answers_without_tensorflow(root: Path) -> None:
    done = trainer("train", "--help", cwd=root, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert re.search(r"\| +trainer\.cli$", done.stderr, re.MULTILINE)
    assert not re.search(r"\| +(tensorflow|keras|numpy)$", done.stderr, re.MULTILINE)
    assert "--model-type" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--epochs", "0"], "EPOCHS=0"),
        (["train", "--dataset", "cifar"], "DATASET=cifar"),
        (["train", "--model-type", "Nope"], "LenetModel"),
        (["train", "--model-type", "ResnetModel", "--image-size", "16"], "at least 32"),
        (["train", "--model-type", "LenetModel", "--weights", "imagenet"], "WEIGHTS=none"),
        (["verify"], "PATH"),
        (["verify", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_is_told_in_words_with_exit_status_2(root: Path, arguments: list[str], says: str) -> None:
    done = trainer(*arguments, cwd=root)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "models").exists()
