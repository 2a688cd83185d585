"""What the engine of containers looks at before Docker is asked, and what it hands to compose."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path

import pytest

from bundle.errors import BundleError, SettingsError
from bundle.settings import Settings
from rollout.engines import mounts
from rollout.engines.compose import ComposeEngine
from tests.unit.rollout.test_choose import docker


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    mounts.require_usable(tmp_path / "models" / "deep")
    assert (tmp_path / "models" / "deep").is_dir()


@pytest.mark.parametrize("mode", [0o555, 0o077, 0o600])
def test_the_modes_of_a_folder_count_for_root_as_well(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    try:
        with pytest.raises(BundleError, match=rf"{tmp_path} .*Run: chmod u\+rwx {tmp_path}$"):
            mounts.require_usable(tmp_path)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")
@pytest.mark.parametrize(
    ("mode", "group", "usable"), [(0o755, 0, False), (0o775, 0, True), (0o775, 7, False), (0o777, 7, True)]
)
def test_a_folder_of_somebody_else_needs_a_mode_for_others(tmp_path: Path, mode: int, group: int, usable: bool) -> None:
    os.chown(tmp_path, 12345, group)
    tmp_path.chmod(mode)
    if usable:
        mounts.require_usable(tmp_path)
        return
    with pytest.raises(
        BundleError, match=rf"belongs to uid 12345, gid {group}, mode {mode:o}; containers run as uid 0"
    ):
        mounts.require_usable(tmp_path)


def test_weights_that_the_trainer_knows_need_no_mount(tmp_path: Path) -> None:
    assert mounts.weights_options("none", tmp_path) == mounts.weights_options("imagenet", tmp_path) == []


def test_a_file_of_weights_is_mounted_read_only(tmp_path: Path) -> None:
    (tmp_path / "my.weights.h5").touch()
    expected = ["--volume", f"{tmp_path}/my.weights.h5:/weights/my.weights.h5:ro"]
    expected += ["--env", "WEIGHTS=/weights/my.weights.h5"]
    assert mounts.weights_options("my.weights.h5", tmp_path) == expected
    assert mounts.weights_options(f"{tmp_path}/my.weights.h5", Path("/elsewhere")) == expected
    with pytest.raises(BundleError, match=r"WEIGHTS=other.h5: no such file; give none, imagenet"):
        mounts.weights_options("other.h5", tmp_path)


@pytest.fixture
def engine(settings: Settings) -> ComposeEngine:
    (settings.root / "serving").mkdir()
    return ComposeEngine(settings, "embedded")


def calls(engine: ComposeEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The last call of docker in a training with these flags."""
    log = docker(folder / "bin", monkeypatch)
    assert engine.train(arguments) == 0
    return log.read_text().splitlines()[-1]


def test_a_training_hands_on_what_is_no_setting(
    engine: ComposeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = calls(engine, tmp_path, monkeypatch, "--output", "here", "--epochs", "3")
    assert last.endswith("run --rm trainer train --output here")


def test_a_file_of_weights_given_as_a_flag_is_mounted(
    engine: ComposeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.weights.h5").touch()
    last = calls(engine, tmp_path, monkeypatch, "--weights", str(tmp_path / "my.weights.h5"))
    assert f"--volume {tmp_path}/my.weights.h5:/weights/my.weights.h5:ro" in last
    with pytest.raises(SettingsError, match="EPOCHS=many"):
        engine.train(["--epochs", "many"])


def test_only_downloads_open_the_trainers_network(settings: Settings) -> None:
    def network(**changes: str) -> str:
        return ComposeEngine(dataclasses.replace(settings, **changes), "cpu").compose_environment()["TRAINER_NETWORK"]  # type: ignore[arg-type]

    assert network() == network(dataset="folder") == "none"
    assert network(dataset="mnist") == network(weights="imagenet") == "bridge"


@pytest.mark.parametrize("setting", ["rest_port", "grpc_port"])
def test_a_taken_port_is_named(settings: Settings, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        free = {"rest_port": one.getsockname()[1], "grpc_port": two.getsockname()[1]}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = dataclasses.replace(settings, **{**free, setting: listener.getsockname()[1]})
        with pytest.raises(BundleError, match=rf"is taken by .* make up {setting.upper()}=\d+$"):
            ComposeEngine(taken, "embedded").preflight()
