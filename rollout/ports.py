"""Is a port free, and if not, who has it?"""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from bundle.errors import BundleError

_FIRST_UNPRIVILEGED = 1024
_LAST = 65535


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen on `address:port` now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            return True
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise BundleError(f"cannot listen on {address}:{port}: {error.strerror}; check BIND in .env") from error


def require_free(address: str, port: int, setting: str) -> None:
    """Raise BundleError that names who listens on the port and what to type instead."""
    if not is_free(address, port):
        raise BundleError(
            f"port {port} on {address} is taken{_by_whom(port)}; stop that, or take another: "
            f"make up {setting}={_next_free(address, port)}"
        )


def listened_on_by(process: psutil.Process | None) -> set[int]:
    """The TCP ports that a process listens on; none when it is gone."""
    with contextlib.suppress(psutil.Error):
        found = process.net_connections("tcp") if process else []
        return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN and each.laddr}
    return set()


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # Without rights the system does not say whose a socket is.
        for connection in psutil.net_connections("tcp"):
            address = tuple(connection.laddr)
            if connection.status == psutil.CONN_LISTEN and address[1:2] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def _next_free(address: str, port: int) -> int:
    near = [*range(port + 1000, port + 1100), *range(port - 1000, port - 1100, -1)]
    usable = (n for n in near if _FIRST_UNPRIVILEGED <= n <= _LAST and is_free(address, n))
    return next(usable, _FIRST_UNPRIVILEGED)
