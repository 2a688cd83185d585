"""Reading the files that flags name, such as models.config, also when models are shut in and may not read them.

An editor that saves by rename makes a new file each time, so the right to read it would have to cover its whole folder,
with whatever else lies there. Instead a small process that stays outside reads it: it is forked before anything is
loaded, knows the names from then on, takes none from its caller, and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NoReturn

_lock: Final = threading.Lock()
_paths: list[str] = []
_reader: Connection | None = None


def start(paths: Sequence[str], socket_path: str) -> None:
    """From now on have `paths` read by a process of its own; it removes the unix socket `socket_path` at the end.

    Call it while there is one thread.
    """
    global _reader
    _paths[:] = [path for path in paths if path]
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _serve(Connection(theirs.detach()), socket_path)
    theirs.close()
    _reader = Connection(ours.detach())


def read(path: str | Path) -> bytes:
    """The content of a file; raises OSError."""
    if _reader is None or str(path) not in _paths:
        return Path(path).read_bytes()
    try:
        with _lock:
            _reader.send_bytes(str(_paths.index(str(path))).encode())
            answer = _reader.recv_bytes()
    except (EOFError, OSError):
        raise ChildProcessError(0, "the process that reads it has ended; restart the server", str(path)) from None
    number, _, content = answer.partition(b"\n")
    if number != b"0":
        raise OSError(int(number), os.strerror(int(number)), str(path))
    return content


def _serve(connection: Connection, socket_path: str) -> NoReturn:
    """Answer until the other end is closed; it is closed by whatever ends the server."""
    try:
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
        ):  # They are for the server, which goes on reading while it drains.
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        with contextlib.suppress(EOFError, OSError):
            while True:
                connection.send_bytes(_content(_paths[int(connection.recv_bytes())]))
        remove_stale(socket_path)
    finally:
        os._exit(0)


def _content(path: str) -> bytes:
    try:
        return b"0\n" + Path(path).read_bytes()
    except OSError as error:
        return f"{error.errno or 5}\n".encode()


def remove_stale(socket_path: str) -> None:
    """Remove a unix socket that nobody listens on any more."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        if not socket_path or not stat.S_ISSOCK(Path(socket_path).stat().st_mode):
            return
        try:
            probe.connect(socket_path)
        except ConnectionRefusedError:
            Path(socket_path).unlink()
