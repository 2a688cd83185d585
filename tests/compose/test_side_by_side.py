"""Two stacks on one machine, one of them with a models folder on a small disk that fills up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundle.versions import version_folders
from tests.compose.stack import Images, Stack, new_stack
from tests.compose.traffic import traffic
from tests.e2e.conftest import MODEL

pytestmark = pytest.mark.docker

DISK = 16 * 2**20


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """`folder` as a file system of its own; only root can mount one where Docker sees it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a file system of our own")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def second(images: Images, serving: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Another stack, with version 1 of the first one on a small disk."""
    root = tmp_path_factory.mktemp("second")
    with small_disk(root / "models") as models, new_stack(root, images) as stack:
        shutil.copytree(serving.base_path / "1", models / MODEL / "1")
        stack.must("rollout", "up")
        yield stack


def test_both_serve(serving: Stack, second: Stack) -> None:
    assert serving.project != second.project
    assert (serving.available(), second.available()) == ([1], [1])
    assert len(serving.containers()) == len(second.containers()) == 4


def test_a_full_disk_fails_the_training_and_harms_nothing(second: Stack) -> None:
    filler = second.root / "models" / "filler"
    free = shutil.disk_usage(filler.parent).free
    filler.write_bytes(bytes(free - 200_000))
    with traffic(second):
        status, output = second.run("rollout", "train", EPOCHS="1")
    assert status == 1
    assert "No space left on device" in output
    assert "Nothing was published" in output
    assert "Traceback" not in output
    assert list(version_folders(second.base_path)) == [1]
    assert not list(second.base_path.glob(".staging-*"))
    filler.unlink()
    assert "version 2 is AVAILABLE" in second.must("rollout", "train", EPOCHS="1")


def test_down_of_one_leaves_the_other_alone(serving: Stack, second: Stack) -> None:
    with traffic(serving):
        second.must("rollout", "down")
    assert second.leftovers() == []
    assert serving.available() == [1]
