"""From nothing to a rollout and back to nothing, with our engine and with an image shaped as the real one.

The tests of this module are one story and run in their order.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from bundle import manifest
from rollout.ledger import Entry, Ledger
from tests.compose.stack import Stack
from tests.compose.traffic import traffic
from tests.e2e.conftest import MODEL, ROOT
from tests.engine.made import made_once
from tests.waiting import until

pytestmark = pytest.mark.docker

SERVICES = ("server", "config", "watcher", "gate")
SECOND, SPY = "Second", "Spy"


@pytest.fixture(scope="module", params=["embedded", "cpu"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_up_ends_with_a_right_prediction_and_healthy_containers(serving: Stack, engine_name: str) -> None:
    output = (serving.root / "first_output").read_text()
    assert f"engine: {engine_name} (asked for with ENGINE={engine_name})" in output
    assert "over REST and gRPC: right" in output
    assert "make down" in output
    for service in SERVICES:
        state = serving.container(service).attrs["State"]
        assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy")


def assert_hardened(facts: dict[str, Any], stop_s: int, memory_gib: int) -> None:
    """What `docker inspect` says of any container of ours."""
    host = facts["HostConfig"]
    assert facts["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Privileged"] is False
    assert host["Init"] is True
    assert host["PidsLimit"] == 1024
    assert host["Memory"] == memory_gib * 2**30
    assert host["Tmpfs"].keys() == {"/tmp"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
    assert facts["Config"]["StopTimeout"] == stop_s


@pytest.mark.parametrize(("service", "stop_s"), [("server", 45), ("watcher", 30)])
def test_running_containers_are_hardened(serving: Stack, service: str, stop_s: int) -> None:
    facts = serving.container(service).attrs
    assert_hardened(facts, stop_s, 6)
    assert facts["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_the_trainers_container_is_hardened_and_has_no_network(serving: Stack) -> None:
    """Made as `make train` makes it, and not started."""
    assert serving.compose("--profile", "train", "create", "trainer").returncode == 0
    container = serving.container("trainer")
    try:
        assert_hardened(container.attrs, 10, 8)
        assert container.attrs["HostConfig"]["NetworkMode"] == "none"
        assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    finally:
        container.remove()


def test_only_the_servers_ports_are_published_and_only_on_loopback(serving: Stack) -> None:
    ports = serving.container("server").attrs["NetworkSettings"]["Ports"]
    rest, grpc = serving.environment["REST_PORT"], serving.environment["GRPC_PORT"]
    expected = {"8501/tcp": rest, "8500/tcp": grpc}
    assert ports == {name: [{"HostIp": "127.0.0.1", "HostPort": port}] for name, port in expected.items()}
    assert not any((serving.container("watcher").attrs["NetworkSettings"]["Ports"] or {}).values())


def test_candidates_are_run_without_network_and_cannot_write_versions(serving: Stack) -> None:
    gate = serving.container("gate")
    assert list(gate.attrs["NetworkSettings"]["Networks"]) == ["none"]
    mounts = {mount["Destination"]: mount["RW"] for mount in gate.attrs["Mounts"]}
    assert mounts == {"/models": False, "/drop": False, "/bundle": False, "/gate": True}


@pytest.mark.parametrize("service", ["server", "watcher", "gate"])
def test_where_models_or_requests_come_in_there_are_no_settings_and_no_project(serving: Stack, service: str) -> None:
    (serving.root / ".git").mkdir(exist_ok=True)
    container = serving.container(service)
    assert (serving.root / ".env").stat().st_size > 0
    assert sorted(container.exec_run(["ls", "-A", "/bundle"])[1].split()) == [b".env", b"models.config", b"serving"]
    assert container.exec_run(["cat", "/bundle/.env"]) == (0, b"")
    found = container.exec_run(["find", "/", "-path", "/proc", "-prune", "-o", "-name", ".git", "-print"])[1]
    assert b".git" not in found.replace(b"find: ", b"")
    assert serving.container("config").exec_run(["ls", "-d", "/project/.git"])[0] == 0  # It can be found.


@pytest.mark.parametrize("service", ["server", "watcher"])
def test_no_address_is_translated_and_no_name_outside_is_known(serving: Stack, service: str) -> None:
    container = serving.container(service)
    network = serving.network()
    assert network.attrs["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert container.exec_run(["getent", "hosts", "server"])[0] == 0
    assert container.exec_run(["getent", "hosts", "example.com"])[0] != 0


def test_the_server_sees_the_models_read_only(serving: Stack) -> None:
    mounts = {mount["Destination"]: mount["RW"] for mount in serving.container("server").attrs["Mounts"]}
    assert mounts == {"/models": False, "/bundle": False}
    status, said = serving.container("server").exec_run(["bash", "-c", "touch /models/x || touch /x"])
    assert status != 0
    assert said.count(b"Read-only file system") == 2


def test_the_server_is_the_binary_with_flags_that_the_real_one_has(serving: Stack, engine_name: str) -> None:
    facts = serving.container("server").attrs
    assert facts["Path"] == "/usr/bin/tensorflow_model_server"
    assert facts["Config"]["Image"] == serving.engine.server_image
    if engine_name == "cpu":
        assert serving.container("server").exec_run(["which", "curl"])[0] != 0
        assert serving.container("server").exec_run(["ls", "/usr/bin/tf_serving_entrypoint.sh"])[0] == 0


def test_files_belong_to_the_caller(serving: Stack) -> None:
    made = [
        path for name in ("models", "runs", "drop", "quarantine", "data") for path in (serving.root / name).rglob("*")
    ]
    assert serving.base_path / "1" / "saved_model.pb" in made
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(os.getuid(), os.getgid())}


def test_the_smoke_tests_pass(serving: Stack) -> None:
    output = serving.must("python", "-m", "pytest", str(ROOT / "tests" / "smoke"), "-q", "-p", "no:cacheprovider")
    assert "passed   A dropped copy goes live and is rolled back without a failed request" in output


def test_version_2_is_trained_in_the_container_under_load(serving: Stack) -> None:
    with traffic(serving):
        output = serving.must("rollout", "train", EPOCHS="2", SEED="7")
        newest = max(serving.available())
        until(lambda: serving.available() == [newest], "version 1 to be unloaded")
    assert f"version {newest} is AVAILABLE" in output
    assert newest > 1


def train_by_hand(serving: Stack, **settings: str) -> Entry:
    """`docker compose run trainer train`; returns the last line of the ledger about what came of it."""
    answer = serving.compose("--profile", "train", "run", "--rm", "trainer", "train", EPOCHS="2", **settings)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    entries = Ledger(serving.root / "releases" / f"{MODEL}.jsonl").entries()
    last = [entry.training for entry in entries if entry.training][-1]
    ours = [entry for entry in entries if entry.training == last and entry.origin == "training"]
    assert [entry.event for entry in ours][:3] == ["checked", "publishing", "published"]
    assert "failed" not in ours[0].verdicts.values() and ours[0].verdicts
    return ours[-1]


def test_a_training_by_hand_is_released_by_the_watcher_under_load(serving: Stack) -> None:
    with traffic(serving):
        last = train_by_hand(serving, SEED="8")
        until(lambda: serving.available() == [last.version], "the new version alone")
    assert last.event == "available"
    assert b"is live as version" in serving.container("watcher").logs()


def test_a_training_by_hand_is_released_by_the_trainer_where_no_watcher_runs(serving: Stack) -> None:
    assert serving.compose("stop", "watcher").returncode == 0
    try:
        last = train_by_hand(serving, SEED="9")
    finally:
        assert serving.compose("start", "watcher").returncode == 0
    assert last.event == "published"
    until(lambda: serving.available() == [last.version], "the new version alone")


def test_a_folder_dropped_on_the_host_goes_live_under_load(serving: Stack) -> None:
    before = max(serving.available())
    with traffic(serving):
        shutil.copytree(serving.base_path / str(before), serving.drop / "mine")
        until(lambda: serving.available() == [before + 1], "the dropped folder to be served")
    until(lambda: not list(serving.drop.iterdir()), "the watcher to take what it published away")
    assert b" passed" in serving.container("gate").logs()


def test_an_edit_of_models_config_by_rename_adds_a_model(serving: Stack) -> None:
    text = (serving.root / "models.config").read_text()
    entry = re.search(r"  config \{.*?\n  \}\n", text, re.DOTALL)
    assert entry is not None
    shutil.copytree(serving.base_path / str(max(serving.available())), serving.root / "models" / SECOND / "1")
    edited = serving.root / ".models.config.new"
    edited.write_text(text.replace(entry[0], entry[0] + entry[0].replace(MODEL, SECOND)))
    edited.rename(serving.root / "models.config")
    url = f"{serving.url}/v1/models/{SECOND}"
    until(lambda: requests.get(url, timeout=10).status_code == 200, "the second model")
    until(lambda: '"state": "AVAILABLE"' in requests.get(url, timeout=10).text, "the second model to be AVAILABLE")
    assert serving.available(), "the first model went away"


def test_a_model_reads_and_writes_nothing_of_the_container(
    serving: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    spies = made_once("tests.engine.spying_models", tmp_path_factory)
    shutil.copytree(spies / "spy", serving.root / "models" / SPY / "1")
    text = (serving.root / "models.config").read_text()
    entry = f'config {{ name: "{SPY}" base_path: "/models/{SPY}" model_platform: "tensorflow" }}\n}}'
    (serving.root / "models.config").write_text(entry.join(text.rsplit("}", 1)))
    url = f"{serving.url}/v1/models/{SPY}"
    until(lambda: '"state": "AVAILABLE"' in requests.get(url, timeout=10).text, "the model to be AVAILABLE")
    if "The sandbox cannot keep models from" not in serving.engine.server_log():
        for path in ("/etc/passwd", "/bundle/models.config", "/proc/self/environ", "/proc/1/environ"):
            assert "Permission denied" in told(url, "read", path)
    for path in ("/models/x", f"/models/{SPY}/1/x", "/bundle/x", "/usr/x", "/tmp/x", "x"):
        for signature in ("save", "write"):
            assert re.search("Permission denied|Read-only file system", told(url, signature, path))
    assert not list((serving.root / "models").rglob("x*"))
    (serving.root / "models.config").write_text(text)


def told(url: str, signature: str, path: str) -> str:
    """What the model answers to a path; an error."""
    encoded = {"b64": base64.b64encode(path.encode()).decode()}
    body = {"signature_name": signature, "instances": [encoded]}
    answer = requests.post(f"{url}:predict", json=body, timeout=30)
    assert answer.status_code != 200
    return answer.text


def test_a_broken_models_config_harms_nobody(serving: Stack) -> None:
    good = (serving.root / "models.config").read_text()
    (serving.root / "models.config").write_text("model_config_list {")
    with traffic(serving) as sent:
        until(lambda: len(sent.answers) > 60, "some seconds of traffic")
    (serving.root / "models.config").write_text(good)


def test_status_and_logs_answer(serving: Stack, engine_name: str) -> None:
    status = serving.must("rollout", "status")
    assert f"engine: {engine_name} at {serving.url}" in status
    assert re.search(r"version \d+ +AVAILABLE", status)
    log = serving.must("rollout", "logs")
    assert all(f"{service}-1" in log for service in ("server", "watcher"))


def test_restart_serves_the_newest_version(serving: Stack) -> None:
    before = serving.available()
    serving.must("rollout", "restart")
    assert serving.available() == before


def test_down_leaves_nothing(serving: Stack) -> None:
    serving.must("rollout", "down")
    assert serving.leftovers() == []
    document: Any = manifest.read(serving.base_path / "1")
    assert document is not None, "the models stay"
    assert not Path(serving.root, ".run", "stack.json").exists()
