"""What goes wrong around the containers: a killed server, a stop under load, a folder of somebody else's."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import requests

from bundle.versions import version_folders
from tests.compose.stack import Stack
from tests.compose.traffic import traffic
from tests.e2e.conftest import MODEL
from tests.smoke import pictures
from tests.waiting import until

pytestmark = pytest.mark.docker

STRANGER = 12345
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")


def server_pid(serving: Stack) -> int:
    """Process id of the server itself, not of the init that Docker starts it with."""
    table = serving.container("server").top()
    rows = [dict(zip(table["Titles"], row, strict=True)) for row in table["Processes"]]
    return next(int(row["PID"]) for row in rows if row["CMD"].startswith("python") and "serving.main" in row["CMD"])


def answering(serving: Stack) -> list[int]:
    """The AVAILABLE versions; none while nobody listens."""
    try:
        return serving.available()
    except requests.RequestException:
        return []


def test_a_killed_server_process_is_started_again(serving: Stack) -> None:
    before, restarts = serving.available(), serving.server_state()["RestartCount"]
    os.kill(server_pid(serving), signal.SIGKILL)
    until(lambda: serving.server_state()["RestartCount"] > restarts, "Docker to start the server again")
    until(lambda: answering(serving) == before, "the server to answer again")
    until(lambda: serving.server_state()["Health"]["Status"] == "healthy", "the container to be healthy")
    with traffic(serving) as sent:
        until(lambda: len(sent.answers) > 20, "some traffic")


def test_a_container_killed_through_docker_stays_down_until_up(serving: Stack) -> None:
    """`docker kill` counts as a stop by hand: the restart policy leaves the container alone."""
    before = serving.available()
    serving.container("server").kill("SIGKILL")
    until(lambda: serving.server_state()["Status"] == "exited", "the container to end")
    status, output = serving.run("rollout", "status")
    assert status == 1
    assert "nothing is running; run: make up" in output
    assert "over REST and gRPC: right" in serving.must("rollout", "up")
    assert serving.available() == before


def test_a_stop_answers_what_is_in_flight_and_ends_with_0(serving: Stack) -> None:
    image = pictures.b64(pictures.encoded("RGB", (2000, 2000), "PNG"))
    body = {"signature_name": "serving_bytes", "instances": [image] * 60}  # Seconds of decoding.
    replies: list[tuple[requests.Response, float]] = []
    url = f"{serving.url}/v1/models/{MODEL}:predict"

    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():  # One after the other: at any moment one is in flight.
            replies.append((requests.post(url, json=body, timeout=60), time.monotonic()))

    senders = [threading.Thread(target=send) for _ in "ab"]
    for sender in senders:
        sender.start()
    until(lambda: len(replies) >= 2, "the first answers")
    stopping.set()
    began = time.monotonic()
    answer = serving.compose("stop", "server")
    assert answer.returncode == 0, answer.stderr
    for sender in senders:
        sender.join()
    log = serving.container("server").logs().decode()
    assert "request(s) in flight have up to 30 s to finish" in log
    assert "no request was cut off" in log
    state = serving.server_state()
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
    assert {len(reply.json()["predictions"]) for reply, _ in replies} == {60}
    assert replies[-1][1] > began, "all were answered before the stop: nothing was tested"
    serving.must("rollout", "up")


def test_a_file_of_weights_is_seen_by_the_trainer(serving: Stack) -> None:
    """It is there, and it is no good; without the mount it would not be there."""
    (serving.root / "first.weights.h5").write_bytes(b"no weights")
    flags = ("--model-type", "ResnetModel", "--weights", "first.weights.h5")
    status, output = serving.run("rollout", "train", "--", *flags)
    assert status == 2
    assert "/weights/first.weights.h5 does not hold weights of ResNet50V2" in output


@needs_root
@pytest.mark.parametrize("name", ["models", f"models/{MODEL}", "runs"])
def test_a_folder_of_somebody_else_is_explained(serving: Stack, name: str) -> None:
    """Before anything is built or trained, and also to root: containers have none of root's privileges."""
    folder = serving.root / name
    os.chown(folder, STRANGER, STRANGER)
    try:
        status, output = serving.run("rollout", "train", EPOCHS="1")
    finally:
        os.chown(folder, os.getuid(), os.getgid())
    assert status == 1
    assert "building" not in output
    assert f"error: {folder} belongs to uid {STRANGER}, gid {STRANGER}, mode 755; containers run as uid 0" in output
    assert f"Run: sudo chown -R 0:0 {folder}" in output


@needs_root
def test_the_trainer_explains_a_folder_of_somebody_else_as_well(serving: Stack) -> None:
    before = serving.available()
    train = ("--profile", "train", "run", "--rm", "trainer", "train")
    answer = serving.compose(*train, BUNDLE_UID=str(STRANGER), BUNDLE_GID=str(STRANGER), EPOCHS="1")
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "error: cannot write into /runs: Permission denied; check who owns it" in answer.stderr
    assert serving.available() == before


@needs_root
def test_what_a_container_of_another_user_makes_belongs_to_that_user(serving: Stack) -> None:
    """The watcher cannot write there any more, so the trainer releases it itself."""
    given = [serving.root / name for name in ("models", f"models/{MODEL}", "runs", "quarantine", "releases")]
    for folder in [*given, *serving.base_path.glob(".*"), *(serving.root / "releases").iterdir()]:
        os.chown(folder, STRANGER, STRANGER)
    before = set(version_folders(serving.base_path).values())
    train = ("--profile", "train", "run", "--rm", "trainer", "train")
    answer = serving.compose(*train, BUNDLE_UID=str(STRANGER), BUNDLE_GID=str(STRANGER), EPOCHS="1")
    assert answer.returncode == 0, answer.stderr
    (made,) = set(version_folders(serving.base_path).values()) - before
    assert {path.stat().st_uid for path in [made, *made.rglob("*")]} == {STRANGER}
    until(lambda: serving.available() == [int(made.name)], "the new version to be served")
