"""Who looks after the processes of ENGINE=local: supervisord, from the package `supervisor`.

It starts again what ends, after pauses of 1, 2, 3, ... seconds. A process that ends six times without having lived for
a minute is given up. Its settings hold no path: they are read with rules of their own for `%`, `;` and quotes.
"""

from __future__ import annotations

import dataclasses
import http.client
import os
import shlex
import signal
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle import files
from bundle.errors import BundleError
from rollout.processes import Background

RETRIES = 5
"""How often in a row a process is started again that lives for less than `LIFE_S`."""

LIFE_S = 60

_ANSWER_S = 2.0
_START_S = 30.0
_STOP_S = 5.0
_PAUSE_S = 0.05
_LAST_LINES = 15
_SOCKET = "supervisor.sock"
# The address of a socket may have 100 characters; this one is short wherever the bundle lies.
_HERE = "/proc/self/cwd/" if sys.platform == "linux" else ""
_SETTINGS = f"""\
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=.run/supervisor.pid
{{user}}

[unix_http_server]
file={_HERE}.run/{_SOCKET}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command=/bin/sh .run/{name}.sh
priority={priority}
autostart={autostart}
autorestart=true
startsecs={life_s}
startretries={retries}
stopsignal={stop_signal}
stopwaitsecs={stop_s:.0f}
stdout_logfile=NONE
stderr_logfile=NONE
"""


@dataclasses.dataclass(frozen=True)
class Program:
    """A process to be looked after, and how it is ended."""

    process: Background
    command: Sequence[str]
    stop_s: float
    stop_signal: str = "TERM"
    starts: bool = True
    retries: int = RETRIES


class Supervisor:
    """The supervisor of the bundle in `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.process = Background("supervisor", root / ".run")

    def start(self, programs: Sequence[Program]) -> None:
        """Start it with `programs`, which it ends in the opposite order; returns when they have been started.

        Raises BundleError with the end of its log when it does not get that far.
        """
        run_dir = self.process.run_dir
        run_dir.mkdir(exist_ok=True)
        text = _SETTINGS.format(user="user=0\n" if os.getuid() == 0 else "")  # Or it complains that nobody said so.
        for number, program in enumerate(programs):
            name = program.process.name
            files.write_atomically(run_dir / f"{name}.sh", _script(program))
            text += _PROGRAM.format(
                name=name,
                priority=number,
                autostart=str(program.starts).lower(),
                life_s=LIFE_S,
                retries=program.retries,
                stop_signal=program.stop_signal,
                stop_s=program.stop_s,
            )
        files.write_atomically(run_dir / "supervisor.conf", text)
        started = [program.process for program in programs if program.starts]
        for process in started:
            process.forget()
        supervisord = str(Path(sys.executable).with_name("supervisord"))
        # It writes its own record: whoever starts it may be killed before he does.
        self.process.start([*_launched(self.process), supervisord, "-c", ".run/supervisor.conf"], self._root)
        self._wait_for(started)

    def state_of(self, process: Background) -> str:
        """RUNNING, STARTING, BACKOFF, FATAL, ...: in the supervisor's words; empty when it does not say."""
        try:
            return str(self._ask("getProcessInfo", process.name)["statename"])
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return ""

    def start_again(self, process: Background, patience_s: float = _START_S) -> bool:
        """Start what was given up, and wait until it is there; whether the supervisor did."""
        try:
            self._ask("startProcess", process.name, False)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False
        until = time.monotonic() + patience_s
        while process.find() is None and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        return True

    def ask_to_end(self) -> None:
        """From now on it starts nothing; it ends its processes, the last one first, and then itself."""
        self.process.send(signal.SIGTERM)

    def stop(self) -> None:
        """See to its end, once its processes have ended."""
        self.process.stop(_STOP_S)

    def kill(self) -> None:
        """End it and leave its processes as they are."""
        self.process.stop(_STOP_S, signal.SIGKILL)

    def _wait_for(self, processes: Sequence[Background]) -> None:
        deadline = time.monotonic() + _START_S
        while not all(process.was_started for process in processes):
            if self.process.find() is None or time.monotonic() > deadline:
                tail = "\n  ".join(
                    [line for each in (self.process, *processes) for line in each.last_lines(_LAST_LINES)]
                )
                raise BundleError(f"the supervisor did not start what it was to; the ends of the logs:\n  {tail}")
            time.sleep(_PAUSE_S)

    def _ask(self, method: str, *arguments: Any) -> Any:
        folder = os.open(self.process.run_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            short = f"/proc/self/fd/{folder}" if _HERE else str(self.process.run_dir)
            with xmlrpc.client.ServerProxy("http://supervisor/RPC2", _Transport(f"{short}/{_SOCKET}")) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        finally:
            os.close(folder)


class _Transport(xmlrpc.client.Transport):
    """Calls over a socket that has a path."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """One that is closed with the transport."""
        connection = _Connection(self._path)
        self._connection = host, connection
        return connection


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("supervisor", timeout=_ANSWER_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _script(program: Program) -> str:
    command = shlex.join([*_launched(program.process), *program.command])
    return f"exec {command} </dev/null >>{shlex.quote(str(program.process.log))} 2>&1\n"


def _launched(process: Background) -> list[str]:
    """What is put before a command that is to be found as `process`."""
    return [sys.executable, "-I", "-m", "rollout.engines.launch", str(process.run_dir), process.name]
