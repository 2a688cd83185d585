"""Calls in processes of their own: what comes back, and what ends them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.bundle.parts import PROJECT

BEGIN = """
import math, os, pathlib, socket, sys, threading, time
from serving import forkserver
from serving.errors import ServingError

def ask(function, *arguments, seconds=60):
    try:
        return forkserver.call(function, *arguments, deadline=time.monotonic() + seconds)
    except ServingError as error:
        return f"{error.code.name} {error.message[:60]}"

forkserver.start(256 << 20, sandbox=sys.argv[1] == "on")
assert threading.active_count() == 1
"""


def run(script: str, sandbox: str = "off") -> tuple[list[str], str]:
    """What a server with a fork server says, and its errors."""
    command = [sys.executable, "-c", BEGIN + script, sandbox]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("sandbox", ["off", "on"])
def test_a_call_returns_what_the_function_returns(sandbox: str) -> None:
    said, errors = run(
        """
import numpy as np
print(ask(math.factorial, 5), ask(os.getpid) != os.getpid(), ask(os.nice, 0) > os.nice(0))
large = np.arange(3_000_000, dtype=np.int32)
back = ask(np.flip, large)
print(back.dtype, back.shape, back[0], back.flags.writeable)
""",
        sandbox,
    )
    assert said == ["120 True True", "int32 (3000000,) 2999999 True"]
    assert errors == ""


def test_more_memory_than_the_limit_is_refused() -> None:
    said, errors = run(
        """
print(len(ask(bytes, 100 << 20)) >> 20, ask(bytes, 300 << 20))
print(ask(len, bytearray(300 << 20)))
"""
    )
    refused = "RESOURCE_EXHAUSTED Reading the request, or writing its answer, takes more than "
    assert said == [f"100 {refused[:79]}", refused[:79]]
    assert errors == ""


def test_a_call_ends_at_its_deadline() -> None:
    said, _ = run(
        """
began = time.monotonic()
print(ask(time.sleep, 100, seconds=0.5), time.monotonic() - began < 20)
(child,) = map(int, pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
children = pathlib.Path(f"/proc/{child}/task/{child}/children")
end = time.monotonic() + 60
while children.read_text() and time.monotonic() < end:
    time.sleep(0.02)
print(repr(children.read_text()))
"""
    )
    assert said == ["DEADLINE_EXCEEDED Timed out waiting for notification True", "''"]


def test_more_calls_than_are_made_at_once_wait_for_their_turn_until_their_deadline() -> None:
    said, _ = run(
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(forkserver.CALLS) as pool:
    first = list(pool.map(lambda n: pool.submit(ask, time.sleep, 3), range(forkserver.CALLS)))
    while forkserver._server._free._value:
        time.sleep(0.01)
    print(ask(math.factorial, 3, seconds=0.2))
    print([call.result() for call in first] == [None] * forkserver.CALLS, ask(math.factorial, 3))
"""
    )
    assert said == ["DEADLINE_EXCEEDED Timed out waiting for notification", "True 6"]


def test_a_process_that_dies_is_an_answer() -> None:
    said, _ = run("print(ask(os.abort), ask(math.factorial, 3))")
    assert said == ["RESOURCE_EXHAUSTED The process that was reading the request, or writing its ans 6"]


def test_what_nobody_expected_is_told_to_the_log_alone() -> None:
    said, errors = run("print(ask(math.sqrt, -1))")
    assert said == ["INTERNAL Internal error; the server's log says more"]
    assert "ValueError" in errors


def test_in_the_sandbox_a_call_can_do_nothing_but_compute() -> None:
    said, errors = run("print(ask(os.listdir, '/'), ask(socket.socket), ask(os.fork))", "on")
    assert said == [" ".join(["INTERNAL Internal error; the server's log says more"] * 3)]
    assert errors.count("PermissionError") == 3


def test_the_fork_server_ends_with_the_server_and_not_before() -> None:
    said, _ = run(
        """
import signal
ask(math.factorial, 2)  # It has begun.
(child,) = map(int, pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
os.kill(child, signal.SIGTERM)
os.kill(child, signal.SIGINT)
print(ask(math.factorial, 3))
print(child, flush=True)
os._exit(0)
"""
    )
    assert said[0] == "6"
    ended = subprocess.run(["tail", "--pid", said[1], "-f", "/dev/null"], timeout=60, check=False)
    assert ended.returncode == 0
