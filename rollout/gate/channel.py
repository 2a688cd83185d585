"""The parent's end of a worker: one message out, one back, within a time that nothing on the other side can stretch.

The framing is that of multiprocessing.connection, which the worker uses. Nothing here blocks: one that does not read,
sends slowly, sends without end or says nothing is found out when the time is over.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable

import psutil

_TICK_S = 0.02
_READ_BYTES = 1 << 20
_LARGEST_BYTES = 256 << 20
_LAST_BYTES = 4096


class TimeOver(Exception):
    """The time is over and the answer is not there."""


class Closed(Exception):
    """The other end has hung up, or has ended."""


class NoAnswer(Exception):
    """What came back is no answer; the text says what it is."""


class Channel:
    """A socket to a process, and the end of a pipe with what it prints. `pid` is the process, for its end."""

    def __init__(self, connection: socket.socket, printed: int) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._printed: int | None = printed
        os.set_blocking(printed, False)
        self._tail = b""
        self._pid = 0
        self._ended: int | None = None

    def watch(self, pid: int) -> None:
        """Notice when the process `pid` ends, also if it leaves something behind that holds the socket."""
        self._pid = pid
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._ended = os.pidfd_open(pid)

    def exchange(self, message: bytes, deadline: float, look: Callable[[], None]) -> bytes:
        """Send a message and return the answer; `look` is called every few hundredths of a second until it is there.

        Raises TimeOver after `deadline`, Closed or NoAnswer, and whatever `look` raises.
        """
        left = memoryview(struct.pack("!i", len(message)) + message)
        came = bytearray()
        while True:
            if time.monotonic() > deadline:
                raise TimeOver
            look()
            ready = self._wait(deadline, bool(left))
            if self._printed in ready:
                self._drain()
            if ready.get(self._socket.fileno(), 0) & select.POLLOUT:
                left = self._send(left)
            arrived = self._receive(came)
            answer = _whole(came)
            if answer is not None:
                return answer
            if not arrived and self._ended in ready:
                raise Closed

    def ends_within(self, seconds: float) -> bool:
        """Whether the process ends in time."""
        if self._ended is not None:
            waiting = select.poll()
            waiting.register(self._ended, select.POLLIN)
            return bool(waiting.poll(seconds * 1000))
        end = time.monotonic() + seconds
        while self._pid and not self._is_over():
            if time.monotonic() > end:
                return False
            time.sleep(_TICK_S / 2)
        return True

    def last_printed(self) -> str:
        """The end of what it has printed."""
        self._drain()
        return self._tail.decode(errors="replace").strip()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
        for descriptor in (self._printed, self._ended):
            if descriptor is not None:
                os.close(descriptor)
        self._printed = self._ended = None

    def _is_over(self) -> bool:
        """Whether the process has ended, on systems that do not tell by themselves."""
        try:
            return psutil.Process(self._pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def _wait(self, deadline: float, sending: bool) -> dict[int | None, int]:
        """What is ready within a tick, as poll() says it."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN | (select.POLLOUT if sending else 0))
        for descriptor in (self._printed, self._ended):
            if descriptor is not None:
                waiting.register(descriptor, select.POLLIN)
        seconds = max(0.0, min(_TICK_S, deadline - time.monotonic()))
        return dict(waiting.poll(seconds * 1000))

    def _send(self, left: memoryview) -> memoryview:
        try:
            return left[self._socket.send(left) :]
        except BlockingIOError:
            return left
        except OSError:
            raise Closed from None

    def _receive(self, came: bytearray) -> bool:
        try:
            part = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            raise Closed from None
        if not part:
            raise Closed
        came += part
        return True

    def _drain(self) -> None:
        """Keep the end of what was printed; at most one pipe full at a time."""
        if self._printed is None:
            return
        try:
            part = os.read(self._printed, _READ_BYTES)
        except BlockingIOError:
            return
        if not part:
            os.close(self._printed)
            self._printed = None
        self._tail = (self._tail + part)[-_LAST_BYTES:]


def _whole(came: bytearray) -> bytes | None:
    """The message in `came`, once it is all there."""
    if len(came) < 4:
        return None
    size, begin = struct.unpack_from("!i", came)[0], 4
    if size == -1:
        if len(came) < 12:
            return None
        size, begin = struct.unpack_from("!Q", came, 4)[0], 12
    if not 0 <= size <= _LARGEST_BYTES:
        raise NoAnswer(f"an answer of {size} bytes, of which {_LARGEST_BYTES} are allowed")
    if len(came) > begin + size:
        raise NoAnswer("more than one answer")
    return bytes(memoryview(came)[begin:]) if len(came) == begin + size else None
