"""The names that a server answers to.

A web page can have its own name point to this machine, and a browser then lets it read what the server answers (DNS
rebinding). The browser says under which name it asks. A page cannot choose that to be an address, or a name of one
part: those are given on this machine and in its network alone, such as localhost, or the name of a container.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

_ANY: Final = "*"
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?")
_MOST_REMEMBERED: Final = 64
_LONGEST_SHOWN: Final = 100


class AllowedHosts:
    """Names separated by commas, besides the machine's own, those of one part and addresses; `.name` is all below."""

    def __init__(self, names: str) -> None:
        self._names = {name.strip().lower() for name in names.split(",")} | {socket.gethostname().lower()}
        # What is found out once per client; clients choose it, so that its number is limited.
        self._known: set[bytes] = set()

    def allows(self, host: bytes) -> bool:
        """Whether a request is answered whose header Host is `host`."""
        if host in self._known:
            return True
        allowed = _ANY in self._names or self._is_own(_without_port(host.decode("latin-1").strip().lower()))
        if allowed and len(self._known) < _MOST_REMEMBERED:
            self._known.add(host[:])
        return allowed

    def _is_own(self, name: str) -> bool:
        if not name or _is_address(name):
            return True
        name = name.rstrip(".")
        parts = name.split(".")
        above = {"." + ".".join(parts[at:]) for at in range(1, len(parts))}
        return name in self._names or len(parts) == 1 or parts[-1] == "localhost" or not above.isdisjoint(self._names)


def refusal(host: bytes) -> str:
    """What is wrong with a request for a name that the server does not answer to."""
    name = _without_port(host.decode("latin-1"))[:_LONGEST_SHOWN]
    return (
        f"The request is for the host {name}, which is not among the names of this server: localhost, this machine's"
        " name, addresses, and what --allowed_hosts lists. Ask for one of them, or start the server with"
        f" --allowed_hosts={name}"
    )


def _without_port(host: str) -> str:
    """`name` of `name:port`, `::1` of `[::1]:port`."""
    match = _WITH_PORT.fullmatch(host)
    return (match[1] or match[2]) if match else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
