"""What clients share: connections and the memory of their bodies. One address gets at most half of each."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from serving.message import LARGEST_SMALL


class State(IntEnum):
    """What a connection does."""

    IDLE = 0
    RECEIVING = 1
    ANSWERING = 2


class Occupant(Protocol):
    """A connection, as far as its place goes."""

    address: str
    state: State

    def make_room(self) -> None:
        """End the connection for another one's sake."""


@dataclass
class _Occupants:
    """Connections in the order in which they came to do what they do."""

    by_state: list[dict[Occupant, None]] = field(default_factory=lambda: [{} for _ in State])

    def __len__(self) -> int:
        return sum(map(len, self.by_state))

    def dispensable(self, newest: Occupant) -> Occupant | None:
        """The one that has been idle longest; failing that, the one whose request has been coming longest."""
        for state in (State.IDLE, State.RECEIVING):
            oldest = next(iter(self.by_state[state]), newest)
            if oldest is not newest:
                return oldest
        return None


class Places:
    """The places for connections. When they are taken, idle ones make room, then those that are still sending."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all = _Occupants()
        self._of: defaultdict[str, _Occupants] = defaultdict(_Occupants)

    def enter(self, connection: Occupant) -> bool:
        """Give a connection a place; False when there is none for it, as all others are being answered."""
        own = self._of[connection.address]
        self._put(connection, connection.state)
        for occupants, most in ((own, max(1, self._most // 2)), (self._all, self._most)):
            if len(occupants) > most:
                leaving = occupants.dispensable(connection)
                if leaving is None:
                    self.leave(connection)
                    return False
                self.leave(leaving)
                leaving.make_room()
        return True

    def leave(self, connection: Occupant) -> None:
        """Free the place of a connection, if it has one."""
        own = self._of[connection.address]
        for occupants in (own, self._all):
            occupants.by_state[connection.state].pop(connection, None)
        if not len(own):
            del self._of[connection.address]

    def note(self, connection: Occupant, state: State) -> None:
        """Note what a connection does from now on."""
        before = connection.state
        if state == before or connection not in self._all.by_state[before]:
            return
        connection.state = state
        for occupants in (self._of[connection.address].by_state, self._all.by_state):
            del occupants[before][connection]
            occupants[state][connection] = None

    def _put(self, connection: Occupant, state: State) -> None:
        connection.state = state
        for occupants in (self._of[connection.address], self._all):
            occupants.by_state[state][connection] = None


class Account:
    """Bytes that are held for clients."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self._of: defaultdict[str, int] = defaultdict(int)

    def take(self, address: str, size: int) -> bool:
        """Count bytes; False, and not counted, when they are too many, all in all or for one address."""
        if self.held + size > self.most or self._of[address] + size > self.most // 2:
            return False
        self.held += size
        self._of[address] += size
        return True

    def give_back(self, address: str, size: int) -> None:
        """Count bytes no longer."""
        self.held -= size
        self._of[address] -= size
        if not self._of[address]:
            del self._of[address]


class Bodies:
    """The memory of the bodies of all connections: large ones leave small ones theirs."""

    def __init__(self, small: int, large: int) -> None:
        self.small, self.large = Account(small), Account(large)

    def grow(self, address: str, held: int, more: int) -> Account | None:
        """Count `more` bytes of a body of which `held` are counted; returns the account that has no room for it."""
        before, account = self._of(held), self._of(held + more)
        if not account.take(address, more if account is before else held + more):
            return account
        if account is not before:
            before.give_back(address, held)
        return None

    def free(self, address: str, held: int) -> None:
        """Count a body no longer."""
        self._of(held).give_back(address, held)

    def _of(self, size: int) -> Account:
        return self.large if size > LARGEST_SMALL else self.small


def address_of(peername: object) -> str:
    """What stands for one client: its IPv4 address, or of an IPv6 address the half that the client does not choose."""
    if not isinstance(peername, tuple):
        return ""
    try:
        address = ipaddress.ip_address(str(peername[0]).partition("%")[0])
    except ValueError:
        return str(peername[0])
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False).network_address)
