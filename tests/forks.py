"""Processes that begin with TensorFlow in memory, in milliseconds rather than seconds; all else is their own.

They are forked from a process that has imported it and done nothing else. What the command line, the environment and
the imports do is for the tests that start a fresh process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
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


def run(
    main: Callable[[], int], arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """Exit status, output and errors of a command: `main` with `arguments` on its command line, called in `folder`."""
    with tempfile.TemporaryDirectory() as written:
        outputs = [Path(written, name) for name in ("out", "err")]
        process = FORKS.Process(target=_run, args=(main, arguments, folder, environment, outputs))
        process.start()
        process.join()
        out, err = (output.read_text() for output in outputs)
    assert process.exitcode is not None
    return process.exitcode, out, err


def _call(log: Path, main: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    _redirect([log, log])
    os._exit(main(*arguments))


def _run(
    main: Callable[[], int],
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    outputs: Sequence[Path],
) -> None:
    _redirect(outputs)
    os.chdir(folder)
    os.environ.update(environment)
    status = 1
    try:
        sys.argv[1:] = arguments
        status = main()
    except SystemExit as error:
        status = int(error.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(outputs: Sequence[Path]) -> None:
    for number, path in zip((1, 2), outputs, strict=True):
        output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(output, number)
        os.close(output)
