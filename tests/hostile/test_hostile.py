"""While one client tries everything, the others are answered as if it was not there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from tensorflow_serving.apis import predict_pb2

from bundle import output
from tests.engine.engine import Engine
from tests.engine.made import made_once
from tests.hostile import attacks
from tests.hostile.attacks import ATTACKS, Target
from tests.waiting import until

CALM_S = 8.0
SLOWER_S = 0.1
"""How much longer than without an attack the slowest request in a hundred may take."""
REQUEST_MB = 1024
# What the server has anyway; half of what all bodies may take, for there is one address; two requests that are read.
MOST_MB = 700 + 512 + 2 * REQUEST_MB
_NICENESS = 10


@dataclasses.dataclass(frozen=True)
class Row:
    """What the honest client saw of one attack."""

    name: str
    answers: str
    requests: int
    failures: list[str]
    p99_s: float
    seconds: float
    rss_mb: int

    def __str__(self) -> str:
        return (
            f"{self.name:<48}{self.answers:<42}{self.requests:>6}{len(self.failures):>7}{self.p99_s * 1e3:>9.0f}"
            f"{self.seconds:>7.1f}{self.rss_mb:>7}"
        )


class Honest:
    """The client that means well, in a process of its own."""

    def __init__(self, target: Target) -> None:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        tensor = request.inputs["x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=1)
        tensor.float_val.append(1.0)
        ports = [str(target.rest_port), str(target.grpc_port)]
        command = [sys.executable, "-m", "tests.hostile.honest", *ports, request.SerializeToString().hex()]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self) -> Any:
        """What it has seen since it was asked last."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def wait_until_answered(self) -> None:
        """Wait until requests of each kind were answered, not necessarily since it was asked last."""
        waiting = {0, 1, 2}

        def answered() -> bool:
            waiting.difference_update(kind for kind, took in enumerate(self.take()["took_s"]) if took)
            return not waiting

        until(answered)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server as users start it, but for limits that would take minutes to reach."""
    base = made_once("tests.hostile.models", tmp_path_factory) / "m"
    flags = (
        "--model_name=m",
        f"--model_base_path={base}",
        f"--http_read_timeout_seconds={attacks.READ_TIMEOUT_S}",
        f"--rest_api_timeout_in_ms={attacks.REST_TIMEOUT_S * 1000}",
        f"--max_connections={attacks.MAX_CONNECTIONS}",
        f"--max_request_memory={REQUEST_MB << 20}",
    )
    engine = Engine(tmp_path_factory.mktemp("hostile") / "engine.log", flags, fresh=True)
    try:
        engine.wait_ready()
        yield engine
    finally:
        engine.kill()


class Memory:
    """How much memory the server has, its processes included."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Gather what it is, ten times a second."""
        gathered, over = [self.mb()], threading.Event()

        def gather() -> None:
            while not over.wait(0.1):
                gathered.append(self.mb())

        watcher = threading.Thread(target=gather)
        watcher.start()
        try:
            yield gathered
        finally:
            over.set()
            watcher.join()

    def mb(self) -> int:
        """What it is now."""
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total >> 20


def test_one_client_cannot_take_the_server_from_the_others(engine: Engine) -> None:
    target = Target(engine.rest_port, engine.grpc_port)
    honest = Honest(target)
    began = time.monotonic()
    try:
        honest.wait_until_answered()
        os.nice(_NICENESS)  # Who attacks does not have this machine's CPUs.
        memory = Memory(engine.process.pid)
        rows = [calm(honest, memory)]
        output.line(
            f"\n{'attack':<48}{'answers':<42}{'asked':>6}{'failed':>7}{'p99 ms':>9}{'s':>7}{'MB':>7}\n{rows[0]}"
        )
        for attack in ATTACKS:
            rows.append(attacked(attack, target, honest, memory))
            output.line(str(rows[-1]))
    finally:
        honest.close()
    failed = [f"{row.name}: {row.failures[:3]}" for row in rows if row.failures]
    assert not failed
    assert not [str(row) for row in rows if row.answers.startswith("WRONG")]
    assert not [row.name for row in rows if row.p99_s > rows[0].p99_s + SLOWER_S]
    assert not [row.name for row in rows if row.rss_mb > MOST_MB]
    assert "Traceback" not in engine.log
    assert time.monotonic() - began < 300


def calm(honest: Honest, memory: Memory) -> Row:
    honest.take()
    time.sleep(CALM_S)
    return _row("nothing", "", CALM_S, honest.take(), memory.mb())


def attacked(attack: attacks.Attack, target: Target, honest: Honest, memory: Memory) -> Row:
    """Make an attack; its answers are marked when they are not what they should be."""
    honest.take()
    began = time.monotonic()
    with memory.watched() as gathered:
        answers = attacks.run(attack, target)
    seconds = time.monotonic() - began
    time.sleep(max(0.0, 3.0 - seconds))  # A p99 needs some hundred requests.
    found = ", ".join(f"{answer} x {count}" for answer, count in answers.most_common())
    if not set(answers) <= set(attack.expected) or attack.expected[-1] not in answers:
        found = f"WRONG: {found}"
    return _row(attack.name, found, seconds, honest.take(), max(gathered))


def _row(name: str, answers: str, seconds: float, seen: Any, rss_mb: int) -> Row:
    p99 = max(statistics.quantiles(took_s, n=100)[98] for took_s in seen["took_s"])
    return Row(name, answers, sum(map(len, seen["took_s"])), seen["failures"], p99, seconds, rss_mb)
