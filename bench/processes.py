"""Process trees that are measured: their CPU time and memory, and holding them still while another one is measured."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from bundle.errors import BundleError

_LAST_LINES = 15
_PAUSE_S = 0.01
_KILL_S = 10.0


class Tree:
    """A process and its descendants."""

    def __init__(self, pid: int) -> None:
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise BundleError(f"there is no process {pid}") from None

    def cpu_s(self) -> float:
        """CPU time used so far, by those that are alive and those that were waited for."""
        total = 0.0
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def rss_mb(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        total = 0
        for process in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    def stop(self) -> None:
        """Hold it still (SIGSTOP), so that it uses no CPU while something else is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it whatever it does."""
        with contextlib.suppress(BundleError):
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for process in self._all():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                raise BundleError(
                    f"process {process.pid} belongs to {process.username()}; run the bench as that user, or give the "
                    "target without pid="
                ) from None

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Started:
    """A process of ours with its log; it never outlives the bench."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.began = time.monotonic()
        self._log = log
        with log.open("wb") as file:
            # A session of its own: Ctrl-C is for the bench, which then ends what it has started.
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )
        self.tree = Tree(self.process.pid)

    def until(self, condition: Callable[[], bool], what: str, deadline_s: float) -> float:
        """Seconds since it was started when `condition` holds; raises BundleError with the end of its log."""
        end = time.monotonic() + deadline_s
        while not condition():
            if self.process.poll() is not None:
                raise BundleError(f"{what}: the process ended with {self.process.returncode}\n{self.last_lines()}")
            if time.monotonic() > end:
                raise BundleError(f"{what}: not within {deadline_s:g} s\n{self.last_lines()}")
            time.sleep(_PAUSE_S)
        return time.monotonic() - self.began

    def last_lines(self) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])

    def close(self) -> None:
        """End it and everything below it."""
        self.tree.kill()
        self.process.wait(_KILL_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def free_ports() -> tuple[int, int]:
    """Two ports of the loopback interface that nobody listens on now."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
