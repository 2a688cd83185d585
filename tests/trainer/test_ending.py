"""How the command ends when something outside goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.conftest import bundle_root, start, trainer
from trainer import checkpoint

_TRY = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"]
CAN_MOUNT = bool(shutil.which("unshare")) and not subprocess.run(_TRY, capture_output=True, check=False).returncode
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
    (run,) = tmp_path.glob("runs/*")
    how = f"go on with it: make train RESUME={run.relative_to(tmp_path)}"
    assert err.splitlines() == [f"error: interrupted; nothing was published; {how}"]
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


def test_a_killed_training_is_gone_on_with_and_ends_as_one(tmp_path: Path) -> None:
    process = start(bundle_root(tmp_path), *LENET, "--epochs", "6")
    wait_for_first_epoch(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    (run,) = tmp_path.glob("runs/*")
    done = len(checkpoint.read(run).history)
    status, _, err = trainer(tmp_path, "train", "--model-name", "Digits", "--resume", str(run), "--epochs", "7")
    assert (status, err) == (
        2,
        "error: EPOCHS=7: the run was begun with EPOCHS=6; leave it out, or train anew\n",
    )
    status, out, err = trainer(tmp_path, "train", "--model-name", "Digits", "--resume", f"runs/{run.name}")
    assert status == 0, err
    assert f"going on after epoch {done}" in out
    epochs = re.findall(r"epoch (\d+)/6", out)
    assert epochs == [str(number) for number in range(done + 1, 7)]
    assert (run / "history.csv").read_text().count("\n") == 7
    assert not (run / "checkpoint.npz").exists()
    assert (tmp_path / "models" / "Digits" / "1" / "saved_model.pb").is_file()
    status, _, err = trainer(tmp_path, "train", "--model-name", "Digits", "--resume", run.name)
    assert status == 2
    assert "cannot be gone on with: it ended before its first epoch, or is finished" in err


@pytest.mark.skipif(not CAN_MOUNT, reason="needs unshare(1) and the right to mount")
@pytest.mark.parametrize("room", ["60k", "400k", "900k", "1200k"])
def test_a_full_disk_is_one_line_and_what_was_trained_can_be_gone_on_with(tmp_path: Path, room: str) -> None:
    root = bundle_root(tmp_path)
    (root / "runs").mkdir()
    mount = f'mount -t tmpfs -o size={room} none runs && "$@"; s=$?; ls runs/*/checkpoint.npz; exit $s'
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    command = [str(Path(sys.executable).with_name("trainer")), *LENET, "--epochs", "2"]
    done = subprocess.run([*inside, *command], cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("ls:")]
    assert re.match(r"error: (cannot write into|.*: No space left).*", line), line
    assert "No space left on device" in line
    assert ("make train RESUME=" in line) == (".npz" in done.stdout)


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
