"""`rollout up` on an empty folder, and what can be in its way."""

from __future__ import annotations

import re
import socket

import psutil
import requests

from bundle import manifest
from tests.e2e.conftest import MODEL, Bundle
from tests.ports import free_ports


def test_up_ends_with_a_right_prediction(serving: Bundle) -> None:
    output = (serving.root / "first_output").read_text()
    assert "over REST and gRPC: right" in output
    assert "make down" in output
    document = manifest.read(serving.base_path / "1")
    assert document is not None
    assert document.test_accuracy >= 0.9


def test_status_has_the_real_servers_layout(serving: Bundle) -> None:
    body = requests.get(f"{serving.url}/v1/models/{MODEL}", timeout=10).text
    assert body == (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_up_again_changes_nothing(serving: Bundle) -> None:
    pid = serving.pid("model-server")
    assert "already running" in serving.must("rollout", "up")
    assert psutil.Process(pid).is_running()
    assert serving.available() == [1]


def test_commands_find_the_ports_by_themselves(serving: Bundle) -> None:
    output = serving.must("rollout", "status", REST_PORT="8501", GRPC_PORT="8500")
    assert serving.url in output
    assert re.search(r"version 1 +AVAILABLE", output)


def test_restart_serves_the_same_version(serving: Bundle) -> None:
    serving.must("rollout", "restart")
    assert serving.available() == [1]


def test_up_after_everything_was_killed(serving: Bundle) -> None:
    """The records of dead processes (stale pids) are in nobody's way."""
    for name in ("supervisor", "model-server", "drop-watcher"):
        psutil.Process(serving.pid(name)).kill()
    status, output = serving.run("rollout", "status")
    assert status == 1
    assert "nothing is running" in output
    output = serving.must("rollout", "up")
    assert "over REST and gRPC: right" in output
    assert serving.available() == [1]


def test_a_taken_port_is_named(bundle: Bundle) -> None:
    rest, grpc = free_ports(2)
    bundle.must("rollout", "down")
    with socket.create_server(("127.0.0.1", rest)):
        status, output = bundle.run("rollout", "up", REST_PORT=str(rest), GRPC_PORT=str(grpc))
    assert status == 1
    assert f"port {rest} on 127.0.0.1 is taken" in output
    assert "make up REST_PORT=" in output


def test_an_unknown_setting_is_refused(bundle: Bundle) -> None:
    env_file = bundle.root / ".env"
    before = env_file.read_text()
    env_file.write_text(before + "EPOCH=3\n")
    try:
        status, output = bundle.run("rollout", "up")
    finally:
        env_file.write_text(before)
    assert status == 2
    assert "EPOCH" in output
    assert "did you mean EPOCHS?" in output
