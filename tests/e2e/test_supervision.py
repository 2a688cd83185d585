"""What `up` started is looked after: killed, stopped and stuck processes, and a restart that nobody notices."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import psutil
import pytest
import requests
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from bundle.environment import load
from bundle.settings import Settings
from rollout.engines import local
from rollout.engines.local import LocalEngine
from tests.e2e.conftest import MODEL, Bundle
from tests.e2e.test_rollout import _examples
from tests.waiting import until

STATUS_S = 3.0
AFTER_DRAIN_S = 5.0
DRAIN_S = 30.0
PER_SECOND = 50
RESTARTS = int(os.environ.get("RESTARTS", "1"))


@pytest.fixture(autouse=True)
def whole(serving: Bundle) -> Iterator[None]:
    """Each test begins with a stack that is whole, whatever the one before has done to it."""
    serving.must("rollout", "up")
    until(lambda: serving.available() == [1], "for the server")
    yield
    for name in ("supervisor", "model-server", "drop-watcher"):
        with contextlib.suppress(OSError):
            os.kill(serving.pid(name), signal.SIGCONT)


def status_of(serving: Bundle) -> tuple[str, float]:
    """What `status` says, and how long it takes for that."""
    began = time.monotonic()
    _, output = serving.run("rollout", "status")
    return output, time.monotonic() - began


@pytest.mark.parametrize("name", ["model-server", "drop-watcher"])
def test_what_is_killed_is_started_again(serving: Bundle, name: str) -> None:
    before = serving.pid(name)
    os.kill(before, signal.SIGKILL)
    until(lambda: serving.pid(name) != before and psutil.pid_exists(serving.pid(name)), "for another one")
    until(lambda: "warning" not in status_of(serving)[0], "for all to be well")
    assert serving.available() == [1]


def test_what_is_ended_politely_is_started_again_too(serving: Bundle) -> None:
    before = serving.pid("model-server")
    os.kill(before, signal.SIGTERM)
    until(lambda: serving.pid("model-server") != before, "for another one")
    until(lambda: "warning" not in status_of(serving)[0], "for all to be well")


def test_a_killed_supervisor_is_said_and_up_brings_another_without_losing_a_request(serving: Bundle) -> None:
    before = serving.pid("model-server")
    with traffic(serving) as failures:
        os.kill(serving.pid("supervisor"), signal.SIGKILL)
        output, _ = status_of(serving)
        assert "the supervisor has ended, and nobody starts again what ends; start it: make up" in output
        assert "processes" in serving.run("rollout", "doctor")[1]
        assert "starting anew beside the server that runs" in serving.must("rollout", "up")
    assert failures == []
    assert serving.pid("model-server") != before
    assert "warning" not in status_of(serving)[0]


@pytest.mark.parametrize("name", ["supervisor", "model-server", "drop-watcher"])
def test_what_is_stopped_is_named_with_the_way_out(serving: Bundle, name: str) -> None:
    pid = serving.pid(name)
    os.kill(pid, signal.SIGSTOP)
    output, took_s = status_of(serving)
    assert f"the {name} is stopped (SIGSTOP), and does nothing until: kill -CONT {pid}" in output
    assert took_s < STATUS_S + 2.0  # What Python takes to start on a busy machine is not the status's.
    assert f"kill -CONT {pid}" in serving.run("rollout", "up")[1]
    os.kill(pid, signal.SIGCONT)
    until(lambda: "warning" not in status_of(serving)[0], "for all to be well")


def test_down_ends_what_is_stopped_in_time(serving: Bundle) -> None:
    pids = [serving.pid(name) for name in ("supervisor", "model-server", "drop-watcher")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    serving.must("rollout", "down")
    assert time.monotonic() - began < DRAIN_S + AFTER_DRAIN_S
    until(lambda: not any(psutil.pid_exists(pid) and _lives(pid) for pid in pids), "for all of them to be gone")


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_watcher_that_does_not_look_round_is_stuck(serving: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LONGEST_SILENCE_S", 1.0)
    engine = LocalEngine(_settings(serving))
    os.kill(serving.pid("drop-watcher"), signal.SIGSTOP)
    monkeypatch.setattr(
        type(engine.watcher), "is_frozen", lambda _: False
    )  # As one that waits for ever does not say so.
    until(lambda: any("is stuck: it has not looked round for" in each for each in engine.what_is_wrong()), "for that")
    engine.complete()
    until(lambda: engine.what_is_wrong() == [], "for another watcher")


def test_nobody_notices_a_restart(serving: Bundle) -> None:
    pids = set()
    with traffic(serving) as failures:
        for _ in range(RESTARTS):
            serving.must("rollout", "restart")
            pids.add(serving.pid("model-server"))
    assert failures == []
    assert len(pids) == RESTARTS


def test_a_server_that_cannot_start_leaves_the_answering_to_the_one_before(serving: Bundle) -> None:
    config = serving.root / "models.config"
    good = config.read_text()
    before = serving.pid("model-server")
    config.write_text("model_config_list { config { name: ")
    try:
        with traffic(serving) as failures:
            status, output = serving.run("rollout", "restart")
    finally:
        config.write_text(good)
    assert status != 0
    assert "the one before goes on" in output
    assert failures == []
    assert serving.pid("model-server") == before
    serving.must("rollout", "restart")
    assert "warning" not in status_of(serving)[0]


def test_a_restart_that_was_killed_is_finished_by_up(serving: Bundle) -> None:
    before = serving.pid("model-server")
    with traffic(serving) as failures:
        command = serving.start("rollout", "restart")
        until(lambda: (serving.root / ".run" / "model-server-before.json").exists(), "for the restart to be under way")
        command.kill()
        command.communicate()
        assert "make up" in status_of(serving)[0]
        serving.must("rollout", "up")
    assert failures == []
    assert serving.pid("model-server") != before
    assert not _lives(before)
    assert "warning" not in status_of(serving)[0]


def _settings(serving: Bundle) -> Settings:
    given = {name: serving.environment[name] for name in ("REST_PORT", "GRPC_PORT")}
    return load(serving.root, given)


@contextmanager
def traffic(serving: Bundle) -> Iterator[list[str]]:
    """PER_SECOND requests over REST and gRPC, on kept connections and on new ones; yields what failed."""
    failures: list[str] = []
    over, asked = threading.Event(), itertools.count()
    clients = list(_clients(serving))

    def ask(client: Callable[[], object]) -> None:
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due += len(clients) / PER_SECOND
            next(asked)
            try:
                client()
            except (requests.RequestException, grpc.RpcError) as error:
                failures.append(str(error))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert next(asked) > PER_SECOND


def _clients(serving: Bundle) -> Iterator[Callable[[], object]]:
    images, _ = _examples(serving.base_path / "1", 1)
    address = f"127.0.0.1:{serving.environment['GRPC_PORT']}"
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL, "serving_bytes"
    (name,) = _inputs(serving)
    request.inputs[name].dtype = 7
    request.inputs[name].tensor_shape.dim.add(size=1)
    request.inputs[name].string_val.append(base64.b64decode(images[0]["b64"]))
    kept, channel = requests.Session(), grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])

    def rest(post: Callable[..., requests.Response]) -> None:
        body = {"signature_name": "serving_bytes", "instances": images}
        post(f"{serving.url}/v1/models/{MODEL}:predict", json=body, timeout=30).raise_for_status()

    def rpc(over: grpc.Channel) -> None:
        prediction_service_pb2_grpc.PredictionServiceStub(over).Predict(request, timeout=30)

    def once() -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as fresh:
            rpc(fresh)

    yield lambda: rest(kept.post)
    yield lambda: rest(requests.post)
    yield lambda: rpc(channel)
    yield once


def _inputs(serving: Bundle) -> list[str]:
    """The names of what `serving_bytes` takes."""
    url = f"{serving.url}/v1/models/{MODEL}/metadata"
    signatures = requests.get(url, timeout=30).json()["metadata"]["signature_def"]["signature_def"]
    return list(signatures["serving_bytes"]["inputs"])
