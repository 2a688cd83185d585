"""Processes that begin with TensorFlow in memory, in milliseconds rather than seconds; all else is their own.

They are forked from a process that has imported it and done nothing else. What the command line, the environment and
the imports do is for the tests that start a fresh process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A process that calls `main` and ends with what it returns: subprocess.Popen as far as tests of servers use it."""

    def __init__(self, log: Path, main: Callable[..., int], *arguments: Any) -> None:
        log.write_bytes(b"")
        self._process = FORKS.Process(target=_call, args=(log, main, arguments))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Like `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status once it has ended; raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        status = self.returncode
        if status is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it whatever it does."""
        self.send_signal(signal.SIGKILL)


def _call(log: Path, main: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    os._exit(main(*arguments))
