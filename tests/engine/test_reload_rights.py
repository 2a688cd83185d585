"""Who may replace the list of models over gRPC, and by what."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits


def reload(engine: Engine, name: str, base: Path) -> str:
    """What the server answers to a list of one model."""
    try:
        engine.reload(f'name: "{name}" base_path: "{base}"')
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


@pytest.fixture
def config(kits: Kits, tmp_path: Path) -> Path:
    """A models.config that lists `mine`; `foreign` lies beside it."""
    for name in ("mine", "foreign"):
        kits.publish(tmp_path / "models" / name, "1", 1)
    file = tmp_path / "models.config"
    entry = f'name: "mine" base_path: "{tmp_path}/models/mine" model_platform: "tensorflow"'
    file.write_text(f"model_config_list {{ config {{ {entry} }} }}")
    return file


@pytest.mark.parametrize("sandbox", ["on", "off"])
def test_a_base_path_that_nobody_configured_is_refused(
    start_engine: StartEngine, config: Path, sandbox: str, tmp_path: Path
) -> None:
    engine = start_engine(f"--model_config_file={config}", "--model_root=", f"--sandbox={sandbox}")
    engine.wait_ready()
    (tmp_path / "link").symlink_to(tmp_path / "models" / "foreign")
    for path in (tmp_path / "models" / "foreign", tmp_path / "link", tmp_path / "models/mine/../foreign"):
        answer = reload(engine, "foreign", path)
        assert answer.startswith(f"PERMISSION_DENIED: Model foreign: found the base path {path}; expected one that")
        assert "--model_root" in answer
    assert engine.states("mine") == {1: "AVAILABLE"}
    assert engine.states("foreign") == {}
    assert (
        reload(engine, "again", tmp_path / "models" / "mine") == "OK"
    )  # By another name, for that is no other folder.
    assert engine.states("again") == {1: "AVAILABLE"}


def test_what_lies_below_the_root_can_be_added(start_engine: StartEngine, config: Path, tmp_path: Path) -> None:
    engine = start_engine(f"--model_config_file={config}", f"--model_root={tmp_path}/models")
    engine.wait_ready()
    assert reload(engine, "foreign", tmp_path / "models" / "foreign") == "OK"
    (tmp_path / "models" / "root").symlink_to("/")
    assert reload(engine, "foreign", tmp_path / "models" / "root").startswith("PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("host", "flag", "answer"),
    [
        ("127.0.0.1", "loopback", "OK"),
        ("127.0.0.1", "false", "PERMISSION_DENIED"),
        ("0.0.0.0", "loopback", "PERMISSION_DENIED"),
        ("0.0.0.0", "true", "OK"),
    ],
)
def test_who_is_answered(
    start_engine: StartEngine, config: Path, host: str, flag: str, answer: str, tmp_path: Path
) -> None:
    socket = tmp_path / "grpc.sock"
    engine = start_engine(
        f"--model_config_file={config}",
        f"--host={host}",
        f"--allow_reload_requests={flag}",
        f"--grpc_socket_path={socket}",
    )
    engine.wait_ready()
    found = reload(engine, "mine", tmp_path / "models" / "mine")
    assert found.partition(":")[0] == answer
    if answer != "OK":
        assert found.startswith("PERMISSION_DENIED: HandleReloadConfigRequest is not answered here: --allow_reload_r")
    engine.channel.close()
    engine.channel = grpc.insecure_channel(f"unix:{socket}")
    over_socket = reload(engine, "mine", tmp_path / "models" / "mine").partition(":")[0]
    assert over_socket == ("PERMISSION_DENIED" if flag == "false" else "OK")


def test_a_value_that_is_none(start_engine: StartEngine, config: Path) -> None:
    engine = start_engine(f"--model_config_file={config}", "--allow_reload_requests=maybe", wait=False)
    assert engine.exit_status() == 255
    assert "--allow_reload_requests=maybe: expected loopback, true or false" in engine.log
