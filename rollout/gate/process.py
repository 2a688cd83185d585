"""The parent's side of a worker: a process that holds one version, asked over a socket, and killed with all it started.

What comes back is data from a process that runs foreign code: it is read as JSON and never trusted further than that.
The channel is a socket because an operation can open /proc/self/fd/<n> of a pipe or a file, but not of a socket.

The process runs only while it is asked, and whoever asks watches it: the wait for the answer is what ends it when its
time is over or its memory is taken. An error in that wait ends it as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import psutil

from bundle import files
from rollout import interrupt
from rollout.gate.cgroup import Groups
from rollout.gate.channel import Channel, Closed, NoAnswer, TimeOver

_MOST_VALUES = 1 << 24
_LAST_LINES = 3
_WITHOUT_A_WORD = "it said nothing"
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_END_S = 1.0


class Died(Exception):
    """The process ended, by itself or because it was killed; the text says how, and what it said last."""


class Unfinished(Died):
    """The process was ended for want of time or of the machine's memory, which says nothing about the version."""


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

    `timeout_s` is for all of its answers together: while it is asked nothing it is stopped, and its time stands still.
    `memory_bytes` is for its memory. It can read its version, and copies of the other files that it is asked about.
    """

    def __init__(self, folder: Path, timeout_s: float, memory_bytes: int) -> None:
        self.folder = folder.absolute()
        self._timeout_s = timeout_s
        self._left_s = timeout_s
        self._memory_bytes = memory_bytes
        self._end: Died | None = None
        self._copies: dict[str, str] = {}
        self._scratch = Path(tempfile.mkdtemp(prefix="gate-"))
        self._groups = Groups(memory_bytes)
        self._process: Process | None = None
        ours, theirs = socket.socketpair()
        printed, prints = os.pipe()
        self._channel = Channel(ours, printed)
        with theirs, os.fdopen(prints, "wb") as output:
            self._start(theirs.fileno(), output)

    def _start(self, channel: int, output: IO[bytes]) -> None:
        try:
            self._process = launch(self.folder, channel, self._scratch, output)
        except OSError as error:  # No memory for another process, or too many of them.
            self._end = Unfinished(f"its process could not be started: {error.strerror or error}")
            return
        self._groups.take(self._process.pid)
        self._channel.watch(self._process.pid)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._groups.remove()
        self._channel.close()
        files.remove(self._scratch)

    def request(self, do: str, **arguments: Any) -> Any:
        """What the worker answers when it is told to `do` something.

        Raises Failed when the version does not, Died when the process is gone.
        """
        if self._end is not None or self._process is None:
            raise self._end or Died(_WITHOUT_A_WORD)
        message = json.dumps({"do": do, **{name: self._shown(value) for name, value in arguments.items()}}).encode()
        began = time.monotonic()
        try:
            self._signal(signal.SIGCONT)
            answer = _parsed(self._channel.exchange(message, began + self._left_s, self._look))
            self._signal(signal.SIGSTOP)
        except BaseException as error:
            self._end = self._why(error)
            self._kill()
            if isinstance(error, (Died, TimeOver, Closed, NoAnswer, psutil.Error)):
                raise self._end from None
            raise
        self._left_s -= time.monotonic() - began
        if "error" in answer:
            raise Failed(str(answer["error"]))
        return answer["answer"]

    def _shown(self, value: Any) -> Any:
        """`value` with files outside of the version replaced by copies that the worker may read."""
        if not isinstance(value, list):
            return value
        return [self._copy(each) if isinstance(each, str) and each.startswith("/") else each for each in value]

    def _copy(self, path: str) -> str:
        if path not in self._copies:
            inside = Path(path).is_relative_to(self.folder) or not Path(path).is_file()
            copy = path if inside else str(self._scratch / f"{len(self._copies)}{Path(path).suffix}")
            if not inside:
                shutil.copyfile(path, copy)
            self._copies[path] = copy
        return self._copies[path]

    def _look(self) -> None:
        """End the process when it has taken its memory; where there is a control group, the kernel does."""
        interrupt.look_up()
        if self._groups.limits_memory or self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(self._process.pid).memory_info().rss > self._memory_bytes:
                raise Died(self._too_much_memory())

    def _why(self, error: BaseException) -> Died:
        """What the end of the process means for the version."""
        if isinstance(error, Died):
            return error
        if isinstance(error, TimeOver):
            return Unfinished(f"it took longer than {self._timeout_s:g} s (CHECK_TIMEOUT_SECONDS) and was killed")
        if isinstance(error, NoAnswer):
            return Died(f"its process sent {error}, and was killed")
        if isinstance(error, Closed):
            return self._how_it_ended()
        return Unfinished(f"its process could not be watched, and was killed: {error}")

    def _how_it_ended(self) -> Died:
        if not self._channel.ends_within(_END_S):
            return Died(f"its process hung up, and was killed: {self._last_words()}")
        if self._groups.ran_out_of_memory():
            return Died(self._too_much_memory())
        status = self._process.wait() if self._process else 0
        if status == -signal.SIGKILL:
            return Unfinished("its process was killed from outside, as the kernel does when memory runs out")
        how = f"status {status}" if status >= 0 else f"signal {-status} ({_name_of(-status)})"
        return Died(f"its process ended with {how}: {self._last_words()}")

    def _too_much_memory(self) -> str:
        return f"it took more than {self._memory_bytes >> 20} MB of memory (CHECK_MEMORY) and was killed"

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _kill(self) -> None:
        """Kill the process and all it started; one that the kernel cannot end is left to it."""
        self._signal(signal.SIGKILL)
        self._groups.kill()
        if self._process is not None and self._channel.ends_within(_END_S):
            self._process.wait()

    def _last_words(self) -> str:
        return " | ".join(self._channel.last_printed().splitlines()[-_LAST_LINES:]) or _WITHOUT_A_WORD


def _parsed(data: bytes) -> dict[str, Any]:
    """The answer in `data`, an object with `answer` or `error`; raises NoAnswer for anything else."""
    # A few bytes of text can become a hundred in memory: they are counted before.
    if data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        raise NoAnswer(f"an answer of more than {_MOST_VALUES} values")
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"an answer that is no JSON ({type(error).__name__})") from None
    if not isinstance(answer, dict) or not ("answer" in answer or "error" in answer):
        raise NoAnswer("an answer of another form")
    return answer


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
