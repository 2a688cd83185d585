"""What is looked at before the plain processes start."""

from __future__ import annotations

import dataclasses
import shutil
import socket
from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.settings import Settings
from rollout.engines.local import LocalEngine, require_writable
from tests.unit.bundle.parts import on_file_system

REQUIRE = """
import sys
from pathlib import Path
from bundle import output
from rollout.engines.local import require_writable
sys.exit(output.run_command(lambda: require_writable(Path(sys.argv[1])) or 0))
"""


@pytest.fixture
def free(settings: Settings) -> Settings:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return dataclasses.replace(settings, rest_port=one.getsockname()[1], grpc_port=two.getsockname()[1])


def test_missing_folders_are_made(free: Settings) -> None:
    LocalEngine(free).preflight()
    assert free.models_dir.is_dir()
    assert free.drop_dir.is_dir()
    assert free.quarantine_dir.is_dir()


@pytest.mark.parametrize("setting", ["rest_port", "grpc_port"])
def test_a_taken_port_is_named_with_its_setting(free: Settings, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = dataclasses.replace(free, **{setting: listener.getsockname()[1]})
        with pytest.raises(BundleError, match=rf"is taken by .* make up {setting.upper()}=\d+$"):
            LocalEngine(taken).preflight()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(BundleError, match=rf"cannot make {tmp_path}/models: File exists"):
        require_writable(tmp_path / "models")
    with pytest.raises(BundleError, match=rf"cannot make {tmp_path}/models/deep: Not a directory"):
        require_writable(tmp_path / "models" / "deep")


@pytest.mark.parametrize("below", ["", "not/there/yet"])
def test_a_read_only_folder_is_named(tmp_path: Path, below: str) -> None:
    answer = on_file_system(tmp_path, "size=1m,ro", REQUIRE, tmp_path / below)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: {tmp_path} is not writable: its file system is mounted read-only")


def test_a_server_that_is_gone_is_reported_with_the_end_of_its_log(settings: Settings) -> None:
    engine = LocalEngine(settings)
    assert not engine.is_running()
    engine.server.run_dir.mkdir()
    engine.server.log.write_text("\n".join(f"line {n}" for n in range(100)))
    with pytest.raises(BundleError) as caught:
        engine.check_alive()
    assert str(caught.value).startswith(f"model-server has ended; the end of {engine.server.log}:")
    assert str(caught.value).endswith("line 99")
    assert "line 84\n" not in str(caught.value)
    engine.stop()  # Fine when nothing runs.
    shutil.rmtree(engine.server.run_dir)
