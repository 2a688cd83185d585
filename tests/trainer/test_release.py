"""How a training ends: live, refused, or kept; with real processes, and the paths of the containers as settings."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollout import ledger, trainings
from rollout.ledger import Entry
from tests.trainer.conftest import Published, bundle_root, start, trainer
from tests.unit.bundle.parts import PROJECT, on_file_system
from tests.waiting import until

LENET = ("train", "--model-type", "LenetModel", "--model-name", "Digits", "--patience", "500")
ONE_EPOCH = (*LENET, "--epochs", "1")
NOT_IN_THE_GPU_IMAGE = ("httptools", "uvloop", "watchdog", "grpc_health", "grpc_reflection")

BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_IN_THE_GPU_IMAGE!r}:
            raise ModuleNotFoundError("not in the image: " + name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return bundle_root(tmp_path)


@pytest.fixture
def staged(root: Path, published: Published) -> str:
    """The name of a good training that is staged and not released."""
    folder = root / "models" / "Digits" / ".trained-mine"
    shutil.copytree(published.version, folder)
    return "mine"


def rollout(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """One of the operator's commands, started."""
    given = {"MODEL_NAME": "Digits", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONUNBUFFERED": "1", "ENGINE": "local"}
    return subprocess.Popen(
        [sys.executable, "-m", "rollout.cli", *arguments],
        cwd=root,
        env={**os.environ, **given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(root: Path) -> list[Entry]:
    return ledger.Ledger(root / "releases" / "Digits.jsonl").entries()


def test_a_refused_training_ends_with_status_3_and_is_kept(root: Path) -> None:
    status, _, err = trainer(root, *ONE_EPOCH, MIN_ACCURACY="1")
    assert status == 3, err
    (kept,) = (root / "quarantine" / "Digits").glob("training-*/saved_model.pb")
    assert f"make publish FROM={kept.parent}" in err
    reason = kept.parent.with_name(f"{kept.parent.name}.reason.txt").read_text()
    assert "MIN_ACCURACY" in reason or "accuracy" in reason
    assert not (root / "models" / "Digits" / "1").exists()
    assert lines(root)[-1].event == "refused"


def test_a_check_that_takes_too_long_refuses_or_keeps_it_and_loses_nothing(root: Path, staged: str) -> None:
    process = rollout(root, "release", staged, CHECK_TIMEOUT_SECONDS="1")
    output, _ = process.communicate(timeout=120)
    kept = [*(root / "models").rglob("saved_model.pb"), *(root / "quarantine").rglob("saved_model.pb")]
    assert process.returncode in (3, 4), output
    assert len(kept) == 1


def test_what_the_paths_of_the_containers_say_is_used(root: Path, tmp_path: Path) -> None:
    """MODELS_DIR and the others are settings: in the trainer's container they are /models, /releases, /quarantine."""
    apart = {name: str(tmp_path / "mounted" / name.split("_")[0].lower()) for name in ("MODELS_DIR", "RELEASES_DIR")}
    apart |= {
        "QUARANTINE_DIR": str(tmp_path / "mounted" / "quarantine"),
        "RUNS_DIR": str(tmp_path / "mounted" / "runs"),
    }
    status, out, err = trainer(root, *ONE_EPOCH, **apart)
    assert status == 0, err
    assert (tmp_path / "mounted" / "models" / "Digits" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "mounted" / "releases" / "Digits.jsonl").is_file()
    assert not (root / "models").exists() and not (root / "releases").exists()
    assert "published Digits version 1" in out


def test_a_stack_of_containers_that_cannot_be_seen_is_not_asked(root: Path, staged: str) -> None:
    """As in the trainer's container: the record of the stack is mounted, and there is no docker command."""
    (root / ".run").mkdir()
    folders = {f"{name}_dir": f"/nowhere/{name}" for name in ("models", "drop", "quarantine", "releases")}
    record = {"engine": "cpu", "bind": "127.0.0.1", "rest_port": 1, "grpc_port": 2, "project": "x", **folders}
    (root / ".run" / "stack.json").write_text(str(record).replace("'", '"'))
    process = rollout(root, "release", staged, PATH=str(root))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "no server was asked" in output
    assert (root / "models" / "Digits" / "1").is_dir()


def test_a_release_needs_no_package_that_the_gpu_image_lacks(root: Path, staged: str, tmp_path: Path) -> None:
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sitecustomize.py").write_text(BLOCK)
    process = rollout(root, "release", staged, PYTHONPATH=str(tmp_path / "block"))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    locked = (PROJECT / "requirements" / "gpu.txt").read_text()
    assert not [name for name in NOT_IN_THE_GPU_IMAGE if f"\n{name}==" in f"\n{locked}"]


def test_the_drop_watcher_releases_what_a_trainer_stages(root: Path, staged: str) -> None:
    """No server runs: the watcher publishes, and says that nobody saw it answer."""
    watcher = rollout(root, "watch", READY_TIMEOUT_SECONDS="1", REST_PORT="1", GRPC_PORT="2")
    try:
        until(lambda: trainings.has_watcher(root / "models" / "Digits"), "for the watcher", 30)
        waiting = rollout(root, "release", staged)
        output, _ = waiting.communicate(timeout=120)
    finally:
        watcher.send_signal(signal.SIGTERM)
        log, _ = watcher.communicate(timeout=60)
    assert "the drop watcher releases it" in output
    assert "version 1 is published, but the drop watcher did not see it answer: make status" in output
    assert waiting.returncode == 1
    assert (root / "models" / "Digits" / "1").is_dir()
    assert "nothing listens at http://127.0.0.1:1" in log


def test_a_release_that_is_killed_in_the_check_is_taken_up_by_the_next(root: Path, staged: str) -> None:
    process = rollout(root, "release", staged)
    until(lambda: (root / "models" / "Digits" / ".releasing-mine").is_file(), "for the claim", 60)
    process.kill()
    process.communicate()
    assert (root / "models" / "Digits" / ".trained-mine" / "saved_model.pb").is_file()
    again = rollout(root, "publish", str(root / "models" / "Digits" / ".trained-mine"))
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    assert [entry.event for entry in lines(root)] == ["checked", "publishing", "published"]
    assert {entry.origin for entry in lines(root)} == {"training"}


def test_a_trainer_that_is_killed_with_its_training_finished_leaves_it_where_status_says(
    root: Path, published: Published
) -> None:
    kept = root / "runs" / "2026-01-01T00-00-00" / "trained"
    shutil.copytree(published.version, kept)
    output, _ = rollout(root, "status").communicate(timeout=60)
    assert f"{kept} is a training that was not staged; publish it: make publish FROM={kept}" in output
    process = rollout(root, "publish", str(kept))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


READ_ONLY = f"""
import subprocess, sys
command = [sys.executable, "-m", "trainer", *{ONE_EPOCH!r}]
done = subprocess.run(command, cwd=sys.argv[1], capture_output=True, text=True)
print(done.stderr)
sys.exit(done.returncode)
"""


def test_models_that_are_read_only_are_said_before_the_training(root: Path) -> None:
    (root / "models").mkdir()
    done = on_file_system(root / "models", "size=1m,ro", READ_ONLY, root)
    assert done.returncode == 1
    assert "models is not writable: its file system is mounted read-only" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list((root / "runs").rglob("saved_model.pb"))


def test_models_that_are_full_leave_the_training_in_its_run(root: Path) -> None:
    (root / "models").mkdir()
    done = on_file_system(root / "models", "size=128k", READ_ONLY, root)
    assert done.returncode == 1, done.stdout
    (kept,) = (root / "runs").rglob("saved_model.pb")
    assert "No space left on device" in done.stdout
    assert f"The training is kept in {kept.parent}" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_model_that_is_not_listed_is_said_before_the_training(root: Path) -> None:
    status, out, err = trainer(root, "train", "--model-type", "LenetModel", "--model-name", "Other")
    assert status == 2
    assert "lists Digits, Shapes, not MODEL_NAME=Other; add to its model_config_list" in err
    assert out == ""


def test_ctrl_c_while_it_is_checked_keeps_it(root: Path, staged: str) -> None:
    process = rollout(root, "release", staged)
    until(lambda: (root / "models" / "Digits" / ".releasing-mine").is_file(), "for the claim", 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert f"the training is kept in {root / 'models' / 'Digits' / '.trained-mine'}" in output
    assert "Traceback" not in output
    assert (root / "models" / "Digits" / ".trained-mine" / "saved_model.pb").is_file()


def test_staged_as_leaves_the_release_to_the_caller(root: Path) -> None:
    process = start(root, *ONE_EPOCH, "--staged-as", "theirs")
    process.communicate(timeout=240)
    assert process.returncode == 0
    base_path = root / "models" / "Digits"
    assert trainings.staged(base_path) == ["theirs"]
    assert not (root / "releases").exists()
