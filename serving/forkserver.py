"""Functions that may take long or much memory, each called in a process of its own that holds up nobody.

The processes are forked from one that was forked from the server before anything was loaded: it has one thread, no
model and nothing but the codecs in its memory. A call has a deadline, at which its process is killed, and a limit on
the memory that it takes. Where the fork server was not started, calls are made in place.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from bundle import landlock, libraries, seccomp
from serving import passing
from serving.errors import Code, ServingError, timed_out
from serving.flags import CPUS

CALLS: Final = max(2, CPUS // 2)
"""How many calls are made at once; more wait, at most until their deadline."""

_NICENESS: Final = 5
# A call without a time limit of its own ends some time, whoever may have forgotten it.
_LONGEST_S: Final = 3600.0
_SECONDS: Final = struct.Struct("=d")


@dataclass(frozen=True)
class _Limits:
    """The memory that a call may take, and with it all addresses that its process may use, in bytes."""

    memory: int
    addresses: int


class _Server:
    """The parent's end: asks for a process per call."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._asking = threading.Lock()
        self._free = threading.Semaphore(CALLS)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], deadline: float) -> Any:
        if not self._free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise timed_out()
        try:
            return self._ask(function, arguments, deadline)
        finally:
            self._free.release()

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...], deadline: float) -> Any:
        ours, theirs = socket.socketpair()
        with ours:
            try:
                with theirs, self._asking:
                    socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
                ours.settimeout(max(0.001, deadline - time.monotonic()))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # It may say why it takes no more.
                    ours.sendall(_SECONDS.pack(deadline - time.monotonic()))
                    passing.send(ours, (function, arguments))
                result = passing.receive(ours)
            except (EOFError, OSError):
                raise self._ended(deadline) from None
        if isinstance(result, ServingError):
            raise result
        return result

    def _ended(self, deadline: float) -> ServingError:
        if time.monotonic() >= deadline:
            return timed_out()
        return ServingError(
            Code.RESOURCE_EXHAUSTED,
            "The process that was reading the request, or writing its answer, has ended, most likely for want of memory"
            " on this machine. Send less at once",
        )


_server: _Server | None = None


def start(memory: int, sandbox: bool) -> None:
    """Have calls made in processes from now on, each with `memory` bytes. Call it while there is one thread."""
    global _server
    if sys.platform != "linux":
        return
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _serve(theirs, memory, sandbox)
    theirs.close()
    _server = _Server(ours)


def call(function: Callable[..., Any], *arguments: Any, deadline: float | None = None) -> Any:
    """`function(*arguments)`, which is one of a module's; raises ServingError as it does, or for its limits.

    `deadline` is a time of time.monotonic().
    """
    if _server is None:
        return function(*arguments)
    return _server.call(function, arguments, time.monotonic() + _LONGEST_S if deadline is None else deadline)


# What happens in the fork server.


def _serve(control: socket.socket, memory: int, sandbox: bool) -> NoReturn:
    """Fork a process for each socket that comes, until the server is gone."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        if sandbox:
            own = libraries.readable("bundle", "serving")
            landlock.restrict(landlock.Allowed([*own, Path("/proc/self/statm")], [Path(os.devnull)]))
        limits = None
        while True:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not descriptors:
                os._exit(0)
            limits = limits or _prepared(memory)
            if os.fork() == 0:
                control.close()
                _answer(socket.socket(fileno=descriptors[0]), limits, sandbox)
            os.close(descriptors[0])
    except BaseException:  # noqa: BLE001 - nothing above it may run twice
        traceback.print_exc()
    os._exit(1)


def _prepared(memory: int) -> _Limits:
    """Import what every process needs, when the first one does, so that a start takes no time for it."""
    from serving import large  # noqa: F401

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return _Limits(memory, pages * resource.getpagesize() + memory)


def _answer(connection: socket.socket, limits: _Limits, sandbox: bool) -> NoReturn:
    """Make one call, and end; also when nobody waits for it any more."""
    try:
        (seconds,) = _SECONDS.unpack(passing.exactly(connection, _SECONDS.size))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
        os.nice(_NICENESS)
        gc.disable()  # What is made is kept to the end.
        resource.setrlimit(resource.RLIMIT_AS, (limits.addresses, limits.addresses))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sandbox:
            seccomp.restrict(listens=False)
        passing.send(connection, _outcome(limits, connection))
    except (EOFError, OSError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - it ends here, whatever it is
        traceback.print_exc()
    os._exit(0)


def _outcome(limits: _Limits, connection: socket.socket) -> Any:
    try:
        function, arguments = passing.receive(connection)
        return function(*arguments)
    except ServingError as error:
        return error
    except MemoryError:
        return ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"Reading the request, or writing its answer, takes more than {limits.memory} bytes of memory, the limit"
            " set by --max_request_memory. Send less at once",
        )
    except Exception:  # noqa: BLE001 - the server's log is to say it
        traceback.print_exc()
        return ServingError(Code.INTERNAL, "Internal error; the server's log says more")
