"""The operator's commands answer in words, and import little: that is what makes them quick on any machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.bundle.parts import PROJECT, make_version

MOST_MODULES = {"--help": 200, "watch": 200}
OTHERWISE = 600
"""What they import was 126, and up to 417 for those that ask a server. NumPy adds 200, TensorFlow more than 1,000."""

REPORT = """
import sys
from rollout import cli
sys.argv = ["rollout", *sys.argv[1:]]
try:
    status = cli.main()
except SystemExit as error:
    status = error.code
heavy = sorted({"tensorflow", "keras", "numpy", "sklearn", "grpc"} & set(sys.modules))
sys.stderr.write(f"modules {len(sys.modules)} status {status} heavy {heavy}")
"""


def rollout(root: Path, *arguments: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", script] if script else ["-m", "rollout.cli"]), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        (("watch", "--help"), 0),
        (("status",), 1),
        (("history",), 0),
        (("down",), 0),
        (("logs", "--no-follow"), 0),
    ],
)
def test_it_imports_little_and_nothing_heavy(root: Path, base: Path, arguments: tuple[str, ...], status: int) -> None:
    make_version(base / "1")
    answer = rollout(root, *arguments, script=REPORT)
    counted = re.fullmatch(rf"modules (\d+) status {status} heavy \[\]", answer.stderr)
    assert counted, answer.stderr
    assert int(counted[1]) < MOST_MODULES.get(arguments[0], OTHERWISE)


@pytest.mark.parametrize("command", ["check", "publish", "canary", "restore"])
def test_an_operation_to_be_allowed_has_to_exist(root: Path, command: str) -> None:
    answer = rollout(root, command, "1", "--allow-op", "ReadFile", "--allow-op", "Readfile", script=REPORT)
    assert answer.returncode == 0
    assert "has no operation 'Readfile' that could be allowed; is it ReadFile?" in answer.stderr
    assert answer.stderr.endswith("status 2 heavy []")


def test_it_says_where_it_must_be_called(tmp_path: Path) -> None:
    answer = rollout(tmp_path, "status")
    assert answer.returncode == 2
    assert "run the command inside the bundle" in answer.stderr


def test_it_works_in_a_folder_below(root: Path) -> None:
    (root / "docs").mkdir()
    assert rollout(root / "docs", "status").returncode == 1


def test_a_bad_setting_is_status_2_before_anything_happens(root: Path) -> None:
    with (root / ".env").open("a") as file:
        file.write("EPOCH=3\n")
    for command in ("up", "down", "status", "doctor"):
        answer = rollout(root, command)
        assert answer.returncode == 2
        assert "did you mean EPOCHS?" in answer.stderr
        assert "Traceback" not in answer.stderr
    assert sorted(path.name for path in root.iterdir()) == [".env", "models.config"]


def test_an_unknown_command_is_refused(root: Path) -> None:
    answer = rollout(root, "upp")
    assert answer.returncode == 2
    assert "invalid choice: 'upp'" in answer.stderr


def test_restart_without_a_stack_says_so(root: Path) -> None:
    answer = rollout(root, "restart")
    assert answer.returncode == 1
    assert answer.stderr == "error: nothing is running; run: make up\n"


def test_a_damaged_record_of_the_stack_is_no_traceback(root: Path) -> None:
    (root / ".run").mkdir()
    for record in ('{"engine": "nonsense"}', "[]", '{"engine": "local", "rest_port": "x"}'):
        (root / ".run" / "stack.json").write_text(record)
        answer = rollout(root, "status")
        assert "Traceback" not in answer.stderr
        assert answer.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("publish", ""), "expected one; with make: FROM=path"),
        (("publish", "nowhere"), "nowhere holds no saved_model.pb"),
        (("restore", "x"), "found 'x', expected the number of a version"),
        (("restore", "7"), "holds no version 7; it holds no version"),
        (("rollback",), "holds no version; run: make train"),
        (("rollback", "--to", "1.5"), "found '1.5'"),
        (("canary", "nowhere"), "nowhere holds no saved_model.pb"),
        (("promote",), "no canary of ResnetModel is under way; begin one: make canary FROM=path"),
        (("abort",), "no canary of ResnetModel is under way"),
    ],
)
def test_what_cannot_be_rolled_out_or_back_is_said(root: Path, arguments: tuple[str, ...], says: str) -> None:
    answer = rollout(root, *arguments)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
