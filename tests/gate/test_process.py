"""What becomes of a worker that does not play by the rules: a real process that speaks the worker's protocol badly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil
import pytest

from rollout.gate import cgroup, process
from rollout.gate.process import Died, Failed, Unfinished, Worker
from tests.unit.bundle.parts import PROJECT
from tests.waiting import until

TIMEOUT_S, AMPLE_S = 1.5, 60.0
MEMORY = 400 << 20

BEGIN = """
import json, os, signal, socket, struct, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
def ask():
    size = struct.unpack("!i", channel.recv(4))[0]
    return json.loads(channel.recv(size))
def send(data):
    channel.sendall(struct.pack("!i", len(data)) + data)
"""
FORKS = """
for n in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except OSError: pass
        if os.fork() == 0:
            open(f"{os.getpid()}", "w").close()
            time.sleep(600)
        time.sleep(600)
"""

Launch = Callable[..., Worker]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launch:
    """Makes a Worker whose process runs a script; its working directory is `tmp_path`/cwd."""

    def make(script: str, timeout_s: float = TIMEOUT_S) -> Worker:
        (tmp_path / "cwd").mkdir(exist_ok=True)

        def launch(_folder: Path, channel: int, _scratch: Path, output: IO[bytes]) -> process.Process:
            command = [sys.executable, "-c", BEGIN + script, str(channel)]
            return subprocess.Popen(
                command,
                pass_fds=[channel],
                cwd=tmp_path / "cwd",
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

        monkeypatch.setattr(process, "launch", launch)
        return Worker(tmp_path, timeout_s, MEMORY)

    return make


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ask(); time.sleep(600)", "it took longer than 1.5 s (CHECK_TIMEOUT_SECONDS) and was killed"),
        ("time.sleep(600)", "it took longer than 1.5 s (CHECK_TIMEOUT_SECONDS) and was killed"),
        ("ask()\nfor n in range(1, 32):\n  try: signal.signal(n, signal.SIG_IGN)\n  except OSError: pass\n"
         "while True: pass", "it took longer than 1.5 s"),
        ("ask()\nwhile True: print('x' * 10_000, flush=True)", "it took longer than 1.5 s"),
        ("ask(); channel.send(struct.pack('!i', 1000))\nwhile True: channel.send(b'x'); time.sleep(0.1)",
         "it took longer than 1.5 s"),
        ("ask(); channel.close(); time.sleep(600)", "its process hung up, and was killed: it said nothing"),
        ("ask(); os.kill(os.getpid(), signal.SIGKILL)", "its process was killed from outside"),
        ("ask(); print('one\\ntwo', flush=True); os._exit(3)", "its process ended with status 3: one | two"),
        ("os._exit(0)", "its process ended with status 0: it said nothing"),
        ("ask(); os.abort()", "its process ended with signal 6 (SIGABRT): "),
        ("ask(); channel.send(struct.pack('!iQ', -1, 1 << 40))\nwhile True: channel.send(b'x' * 65536)",
         "its process sent an answer of 1099511627776 bytes, of which 268435456 are allowed, and was killed"),
        ("ask(); send(b'{}' * 9)", "its process sent an answer that is no JSON (JSONDecodeError), and was killed"),
        ("ask(); send(b'\\xff')", "its process sent an answer that is no JSON (UnicodeDecodeError), and was killed"),
        ("ask(); send(b'[' * 100_000 + b']' * 100_000)", "its process sent an answer that is no JSON (RecursionError)"),
        ("ask(); send(b'[' * (20 << 20))", "its process sent an answer of more than 16777216 values, and was killed"),
        ("ask(); send(b'5')", "its process sent an answer of another form, and was killed"),
        ("ask(); send(b'{}')", "its process sent an answer of another form, and was killed"),
        ("ask(); channel.sendall((struct.pack('!i', 2) + b'{}') * 2); time.sleep(600)",
         "its process sent more than one answer, and was killed"),
        ("ask(); held = [bytearray(b'x' * (50 << 20)) for _ in range(40)]; time.sleep(600)",
         "it took more than 400 MB of memory (CHECK_MEMORY) and was killed"),
    ],
)  # fmt: skip
def test_one_that_does_not_answer_is_ended_in_time_and_said_why(worker: Launch, script: str, said: str) -> None:
    late = "it took longer than" in said
    began = time.monotonic()
    with worker(script, TIMEOUT_S if late else AMPLE_S) as asked:
        with pytest.raises(Died) as caught:
            asked.request("describe")
        assert str(caught.value).startswith(said)
        assert isinstance(caught.value, Unfinished) == (late or "from outside" in said)
        with pytest.raises(Died) as again:
            asked.request("load")
        assert str(again.value) == str(caught.value)
    assert time.monotonic() - began < AMPLE_S  # Nobody waited for an end that did not come.


def test_a_request_that_nobody_reads_does_not_hold_up_the_one_who_asks(worker: Launch) -> None:
    with worker("time.sleep(600)") as asked, pytest.raises(Unfinished):
        asked.request("ask", images=["x" * 1000] * 5000)


def test_what_it_has_started_dies_with_it(worker: Launch, tmp_path: Path) -> None:
    """Two forks, a session of their own, all signals ignored: only a control group knows that they belong together."""
    if not any(cgroup.Groups(MEMORY)._folders):
        pytest.skip("this machine lets us make no control group; the worker itself cannot fork (test_sandbox.py)")
    tell = "while len(os.listdir()) < 3: time.sleep(0.01)\nsend(b'{\"answer\": 1}'); time.sleep(600)"
    with worker("ask()" + FORKS + tell, AMPLE_S) as asked:
        assert asked.request("describe") == 1
    started = [int(path.name) for path in (tmp_path / "cwd").iterdir()]
    assert len(started) == 3
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in started), "all of them are gone")


def test_no_control_group_is_left_behind(worker: Launch) -> None:
    with worker("ask(); send(b'{\"answer\": 1}'); time.sleep(600)", AMPLE_S) as asked:
        folders = list(asked._groups._folders)
        assert asked.request("describe") == 1
    assert [folder for folder in folders if folder.exists()] == []


def test_without_a_control_group_its_memory_is_watched(worker: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_places", lambda: iter(()))
    hold = "ask(); held = [bytearray(b'x' * (50 << 20)) for _ in range(40)]; time.sleep(600)"
    with worker(hold, AMPLE_S) as asked:
        assert not asked._groups.limits_memory
        with pytest.raises(Died, match="it took more than 400 MB of memory") as caught:
            asked.request("describe")
        assert not isinstance(caught.value, Unfinished)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ask(); time.sleep(600)", "it took longer than 1.5 s"),
        ("ask(); channel.close(); time.sleep(600)", "its process hung up, and was killed"),
        ("ask(); os._exit(3)", "its process ended with status 3"),
    ],
)
def test_where_the_system_does_not_tell_of_its_end_it_is_asked(
    worker: Launch, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with worker(script, TIMEOUT_S if "longer" in said else AMPLE_S) as asked:
        with pytest.raises(Died, match=re.escape(said)):
            asked.request("describe")
        assert isinstance(asked._process, subprocess.Popen)
        assert asked._process.poll() is not None


def test_an_error_of_the_one_who_watches_kills_what_is_watched(worker: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_places", lambda: iter(()))
    monkeypatch.setattr(psutil, "Process", lambda _pid: 1 / 0)
    with worker("time.sleep(600)") as asked:
        with pytest.raises(ZeroDivisionError):
            asked.request("describe")
        process_ended = asked._process
        assert isinstance(process_ended, subprocess.Popen)
        assert process_ended.wait(10) == -9


def test_it_runs_only_while_it_is_asked(worker: Launch, tmp_path: Path) -> None:
    counts = """
def count(n=0):
    while True:
        n += 1
        open("count", "w").write(str(n))
import threading
threading.Thread(target=count, daemon=True).start()
while True:
    send(json.dumps({"answer": ask()["do"]}).encode())
"""
    counted = tmp_path / "cwd" / "count"
    with worker(counts, AMPLE_S) as asked:
        assert asked.request("one") == "one"
        left_s = asked._left_s
        state = Path(f"/proc/{asked._process.pid}/stat")  # type: ignore[union-attr]
        until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it is stopped")
        seen = counted.stat().st_mtime_ns
        assert asked._left_s == left_s
        assert counted.stat().st_mtime_ns == seen
        # An answer may be there before its other thread had a turn.
        until(lambda: asked.request("two") == "two" and counted.stat().st_mtime_ns != seen, "it goes on")


def test_its_error_is_its_own_answer(worker: Launch) -> None:
    with (
        worker('ask(); send(b\'{"error": "no"}\'); time.sleep(600)', AMPLE_S) as asked,
        pytest.raises(Failed, match="no"),
    ):
        asked.request("load")


def test_one_that_cannot_be_started_is_unfinished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object) -> process.Process:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(process, "launch", refused)
    with Worker(tmp_path, 1, MEMORY) as asked, pytest.raises(Unfinished, match="could not be started: Resource temp"):
        asked.request("describe")


def test_files_outside_of_the_version_are_shown_as_copies(worker: Launch, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}.png"
    outside.write_bytes(b"a picture")
    (tmp_path / "own.png").write_bytes(b"own")
    read = "while True:\n  print_ = [(p, open(p).read()) for p in ask()['images']]\n"
    with worker(read + "  send(json.dumps({'answer': print_}).encode())", AMPLE_S) as asked:
        images = [str(outside), str(tmp_path / "own.png"), str(outside)]
        first, own, again = asked.request("ask", images=images)
    assert first == again
    assert first[0] != str(outside)
    assert (first[1], own) == ("a picture", [str(tmp_path / "own.png"), "own"])
    outside.unlink()
