"""How the command ends when something outside goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.trainer.conftest import bundle_root, start, trainer

LENET = ("train", "--model-type", "LenetModel", "--model-name", "Digits", "--patience", "500")


def wait_for_first_epoch(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1/" in line:
            return
    raise AssertionError("the trainer ended before its first epoch")


def test_ctrl_c_ends_in_one_line_with_status_130_and_nothing_published(tmp_path: Path) -> None:
    process = start(bundle_root(tmp_path), *LENET, "--epochs", "500")
    wait_for_first_epoch(process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines() == ["error: interrupted; nothing was published"]
    assert not (tmp_path / "models").exists()
    assert not list(tmp_path.glob("runs/*/.scratch"))


def test_a_killed_training_leaves_no_trace_after_the_next(tmp_path: Path) -> None:
    process = start(bundle_root(tmp_path), *LENET, "--epochs", "500")
    wait_for_first_epoch(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert not (tmp_path / "models").exists()
    assert len(list(tmp_path.glob("runs/*/.scratch"))) == 1
    status, _, err = trainer(tmp_path, *LENET, "--epochs", "1")
    assert status == 0, err
    assert not list(tmp_path.glob("runs/*/.scratch"))
    assert (tmp_path / "models" / "Digits" / "1" / "saved_model.pb").is_file()


def test_mnist_without_a_network_says_so(tmp_path: Path) -> None:
    # Nothing listens on port 9 (discard): every download fails at once.
    nowhere = "http://127.0.0.1:9"
    status, _, err = trainer(
        bundle_root(tmp_path),
        *LENET,
        "--dataset",
        "mnist",
        KERAS_HOME=str(tmp_path / "keras"),
        http_proxy=nowhere,
        https_proxy=nowhere,
        no_proxy="",
    )
    assert status == 1
    assert err.startswith("error: cannot download the MNIST digits")
    assert "set DATASET=digits, which needs no network" in err


def test_imagenet_weights_without_a_network_say_so(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    status, _, err = trainer(
        bundle_root(tmp_path),
        *("train", "--model-name", "Digits", "--weights", "imagenet"),
        KERAS_HOME=str(tmp_path / "keras"),
        http_proxy=nowhere,
        https_proxy=nowhere,
        no_proxy="",
    )
    assert status == 1
    assert "error: cannot download ImageNet weights of ResNet50V2" in err
    assert not (tmp_path / "models").exists()
