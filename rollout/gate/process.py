"""The parent's side of a worker: a process that holds one version, asked over a socket, watched and killed as a group.

What comes back is data from a process that runs foreign code: it is read as JSON and never trusted further than that.
The channel is a socket because an operation can open /proc/self/fd/<n> of a pipe or a file, but not of a socket.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import psutil

from bundle import files

_LOOK_EVERY_S = 0.02
_LARGEST_ANSWER_BYTES = 256 << 20
_MOST_SCRATCH_BYTES = 256 << 20
_LAST_LINES = 3
_LAST_BYTES = 4096
_WITHOUT_A_WORD = "it said nothing"
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")


class Died(Exception):
    """The process ended, by itself or because it was killed; the text says how, and what it said last."""


class Failed(Exception):
    """The process answered with an error; the text is the version's own."""


class Process(Protocol):
    """The part of subprocess.Popen that is used here."""

    pid: int

    def wait(self) -> int:
        """Its exit status once it has ended, negative for a signal."""


def launch(folder: Path, channel: int, scratch: Path, output: IO[bytes]) -> Process:
    """Start a worker for the version in `folder` in a process group of its own; it answers on `channel`."""
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment |= {"HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    # On the CPU: the live version may hold the GPU's memory, and the manifest's logits come from the CPU as well.
    environment |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        [sys.executable, "-m", "rollout.gate.worker", str(folder), str(channel), str(os.getpid())],
        pass_fds=[channel],
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


class Worker:
    """A process that holds the version in `folder`, for as long as the block runs and within its limits.

    `timeout_s` is for all of its answers together: while it is asked nothing its time stands still. `memory_bytes` is
    for its resident memory.
    """

    def __init__(self, folder: Path, timeout_s: float, memory_bytes: int) -> None:
        self.folder = folder
        self._timeout_s = timeout_s
        self._left_s = timeout_s
        self._deadline = math.inf
        self._memory_bytes = memory_bytes
        self._killed_because = ""
        self._status: int | None = None
        self._over = threading.Event()
        self._scratch = Path(tempfile.mkdtemp(prefix="gate-"))
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the worker
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        try:
            self._process = launch(folder.absolute(), theirs.fileno(), self._scratch, self._output)
        finally:
            theirs.close()
        self._seen = psutil.Process(self._process.pid)
        self._watcher = threading.Thread(target=self._watch, name=f"gate-{self._process.pid}", daemon=True)
        self._watcher.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._output.close()
        files.remove(self._scratch)

    def request(self, do: str, **arguments: Any) -> Any:
        """What the worker answers when it is told to `do` something.

        Raises Failed when the version does not, Died when the process is gone.
        """
        began = time.monotonic()
        self._deadline = began + self._left_s
        try:
            self._connection.send_bytes(json.dumps({"do": do, **arguments}).encode())
            answer = json.loads(self._connection.recv_bytes(_LARGEST_ANSWER_BYTES))
        except (OSError, EOFError, ValueError, RecursionError):
            raise Died(self._how_it_ended()) from None
        self._deadline = math.inf
        self._left_s -= time.monotonic() - began
        if "error" in answer:
            raise Failed(str(answer["error"]))
        return answer["answer"]

    def _watch(self) -> None:
        """Kill the process when it has taken its time or its memory."""
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                taken = self._seen.memory_info().rss
            except psutil.Error:
                return None
            if time.monotonic() > self._deadline:
                return self._kill(f"it took longer than {self._timeout_s:g} s (CHECK_TIMEOUT_SECONDS) and was killed")
            if taken > self._memory_bytes:
                most = self._memory_bytes >> 20
                return self._kill(f"it took more than {most} MB of memory (CHECK_MEMORY) and was killed")
            if files.size_in_bytes(self._scratch) > _MOST_SCRATCH_BYTES:
                return self._kill(f"it wrote more than {_MOST_SCRATCH_BYTES >> 20} MB of files and was killed")
        return None

    def _kill(self, reason: str) -> None:
        self._killed_because = reason
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self) -> None:
        self._over.set()
        self._watcher.join()
        self._connection.close()
        if self._status is None:
            self._kill("")
            self._status = self._process.wait()

    def _how_it_ended(self) -> str:
        # One that hung up and goes on is killed when its time is over.
        self._status = self._process.wait()
        if self._killed_because:
            return self._killed_because
        if self._status == -signal.SIGKILL:
            return "its process was killed from outside, as the kernel does when memory runs out"
        status = self._status
        how = f"status {status}" if status >= 0 else f"signal {-status} ({signal.Signals(-status).name})"
        return f"its process ended with {how}: {self._last_words()}"

    def _last_words(self) -> str:
        end = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, end - _LAST_BYTES))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or _WITHOUT_A_WORD
