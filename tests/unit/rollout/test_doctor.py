"""`rollout doctor` sees what is wrong with a machine and says what to do about it."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path

import pytest

from bundle.settings import Settings
from rollout import doctor
from tests.unit.bundle.parts import MODEL, make_version, on_file_system
from tests.unit.rollout.test_choose import COMPOSE, INFO, NO_DAEMON, docker

FOLDERS = """
import sys
from pathlib import Path
from bundle.environment import load
from rollout import doctor
sys.exit(doctor.run(load(Path(sys.argv[1]))))
"""


@pytest.fixture
def settings_with_free_ports(settings: Settings) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    return dataclasses.replace(settings, rest_port=ports[0], grpc_port=ports[1])


def report(settings: Settings, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """The exit status and, for each name, its lines."""
    status = doctor.run(settings)
    found: dict[str, str] = {}
    name = ""
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith(" ") and line[:8].strip() in {"ok", "warning", "problem"}:
            name = line[9:25].strip()
        found[name] = found.get(name, "") + line + "\n"
    return status, found


def test_a_good_machine_has_no_problem(
    settings_with_free_ports: Settings,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    docker(tmp_path / "bin", monkeypatch, INFO | {"Runtimes": {"nvidia": {}}}, compose=COMPOSE)
    make_version(base / "1")
    status, found = report(settings_with_free_ports, capsys)
    assert status == 0
    names = ["Python", "packages", "Docker", "compose", "GPU in Docker", "REST_PORT", "GRPC_PORT", "MODELS_DIR", MODEL]
    assert [name for name in names if not found[name].startswith("ok")] == []
    assert "GPU" in found
    assert "disk" in found
    assert "versions: 1 (" in found[MODEL]
    assert "2.19.1" in found["packages"]


def test_a_machine_without_docker_is_told_what_serves(
    settings_with_free_ports: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, found = report(settings_with_free_ports, capsys)
    assert status == 0
    assert found["Docker"].startswith("warning")
    assert "without it ENGINE=local serves" in found["Docker"]
    docker(tmp_path / "bin", monkeypatch, NO_DAEMON)
    assert "Cannot connect to the Docker daemon" in report(settings_with_free_ports, capsys)[1]["Docker"]


def test_a_broken_nvidia_driver_is_a_warning_with_its_words(
    settings_with_free_ports: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2\nexit 9\n")
    tool.chmod(0o755)
    assert "nvidia-smi fails: NVIDIA-SMI has failed" in report(settings_with_free_ports, capsys)[1]["GPU"]
    tool.write_text("#!/bin/sh\necho '0, Tesla T4, 550.1, 7.5, 15360, 0'\n")
    found = report(settings_with_free_ports, capsys)[1]["GPU 0"]
    assert found.startswith("ok")
    assert "Tesla T4, driver 550.1, compute capability 7.5, 15360 MiB" in found


def test_a_taken_port_is_a_problem(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        status, found = report(dataclasses.replace(settings, rest_port=taken), capsys)
    assert status == 1
    assert found["REST_PORT"].startswith("problem")
    assert f"port {taken} on 127.0.0.1 is taken by" in found["REST_PORT"]
    assert "make up REST_PORT=" in found["REST_PORT"]


def test_a_models_config_that_is_broken_or_lacks_the_model_is_a_problem(
    settings_with_free_ports: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = dataclasses.replace(settings_with_free_ports, model_name="Another")
    status, found = report(missing, capsys)
    assert status == 1
    assert "does not list MODEL_NAME=Another" in found["models.config"]
    (settings_with_free_ports.root / "models.config").write_text("model_config_list {")
    status, found = report(settings_with_free_ports, capsys)
    assert status == 1
    assert found["models.config"].startswith("problem")


def test_a_folder_that_cannot_be_written_is_a_problem(settings: Settings) -> None:
    settings.models_dir.mkdir()
    answer = on_file_system(settings.models_dir, "size=1m,ro", FOLDERS, settings.root)
    assert answer.returncode == 1, answer.stderr
    assert f"{settings.models_dir} is not writable: its file system is mounted read-only" in answer.stdout
    assert "Mount it for writing" in answer.stdout
