"""Two servers on the same ports: the later one gets every new connection, and the earlier one ends without losing any.

Both listen with SO_REUSEPORT, between whose sockets Linux spreads connections by a hash. A program of one
instruction, which is attached to such a group of sockets, chooses the second one instead: the server that came later.
What still waited in the queue of the first one is answered by it, and nothing is added, so closing it loses nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator

from serving.errors import invalid

CONNECTION_AGE_S = 5
"""After how long gRPC clients are asked to connect again where a server may follow; Linux's gRPC adds up to 10 %."""

LONGEST_S = CONNECTION_AGE_S * 1.1 + 1
"""After so long every client has been asked to connect again."""

_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN = 0x06
_SECOND = 1

_descriptors: int | None = None


def prepare(reuse_port: bool) -> None:
    """Call it before the sandbox is entered, which lets nobody open what tells the open sockets.

    Raises ServingError where the system does not know how to choose between two servers.
    """
    global _descriptors
    if not reuse_port:
        return
    if sys.platform != "linux":
        raise invalid(f"--reuse_port needs Linux; this is {sys.platform}: leave it out")
    _descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def take_new_connections(port: int) -> None:
    """Have every new connection to `port` go to the server that listens there last; not when it is the only one."""
    for listener in _sockets(port, listening=True):
        program = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN, 0, 0, _SECOND))
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 1, ctypes.addressof(program))
        )


def connections(port: int) -> int:
    """How many clients are connected to `port` of this process."""
    return sum(1 for _ in _sockets(port, listening=False))


def _sockets(port: int, listening: bool) -> Iterator[socket.socket]:
    if _descriptors is None or not port:
        return
    for number in map(int, os.listdir(_descriptors)):  # noqa: PTH208 - no path leads there any more
        with contextlib.suppress(OSError):  # It was closed in the meantime, or has no such option.
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as found:
                at = found.getsockname()
                accepts = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if isinstance(at, tuple) and at[1] == port and bool(accepts) is listening:
                    yield found
