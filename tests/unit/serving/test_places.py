"""What clients share, and how much of it one of them gets."""

from __future__ import annotations

import pytest

from serving.message import LARGEST_SMALL
from serving.places import Account, Bodies, Places, State, address_of


class Client:
    """A connection that notes that it had to make room."""

    def __init__(self, address: str = "10.0.0.1", state: State = State.IDLE) -> None:
        self.address, self.state, self.gone = address, state, False

    def make_room(self) -> None:
        self.gone = True


def test_one_address_gets_half_of_the_places() -> None:
    places = Places(4)
    mine = [Client() for _ in range(3)]
    assert [places.enter(client) for client in mine] == [True] * 3
    assert [client.gone for client in mine] == [True, False, False]
    others = [Client(f"10.0.0.{number}") for number in (2, 3)]
    assert [places.enter(client) for client in others] == [True] * 2
    assert [client.gone for client in mine] == [True, False, False]


def test_of_all_places_the_oldest_idle_one_is_freed_then_the_oldest_that_is_sending() -> None:
    places = Places(4)
    clients = [Client(f"10.0.0.{number}") for number in range(4)]
    for client in clients:
        assert places.enter(client)
    places.note(clients[0], State.ANSWERING)
    places.note(clients[0], State.IDLE)  # It comes last now.
    places.note(clients[1], State.RECEIVING)
    left = []
    for number in range(4):
        new = Client(f"10.0.1.{number}")
        assert places.enter(new)
        places.note(new, State.ANSWERING)
        left += [client for client in clients if client.gone and client not in left]
    assert left == [clients[2], clients[3], clients[0], clients[1]]


def test_nobody_who_is_being_answered_makes_room() -> None:
    places = Places(2)
    busy = [Client(f"10.0.0.{number}", State.ANSWERING) for number in (1, 2)]
    for client in busy:
        assert places.enter(client)
    new = Client("10.0.0.3")
    assert not places.enter(new)
    assert not any(client.gone for client in (*busy, new))
    places.leave(busy[0])
    assert places.enter(new)


def test_who_has_left_takes_no_place_any_more() -> None:
    places = Places(2)
    first, second = Client(), Client()
    assert places.enter(first)
    places.leave(first)
    places.leave(first)
    places.note(first, State.ANSWERING)
    assert places.enter(second)
    assert not first.gone


def test_an_account_is_limited_in_all_and_for_each_address() -> None:
    account = Account(100)
    assert account.take("a", 50)
    assert not account.take("a", 1)
    assert account.take("b", 50)
    assert not account.take("c", 1)
    account.give_back("a", 50)
    assert account.take("c", 50)
    assert account.held == 100


def test_a_body_that_grows_large_leaves_the_memory_of_small_ones() -> None:
    bodies = Bodies(small=1 << 20, large=4 << 20)
    assert bodies.grow("a", 0, LARGEST_SMALL) is None
    assert (bodies.small.held, bodies.large.held) == (LARGEST_SMALL, 0)
    assert bodies.grow("a", LARGEST_SMALL, 1) is None
    assert (bodies.small.held, bodies.large.held) == (0, LARGEST_SMALL + 1)
    assert bodies.grow("a", LARGEST_SMALL + 1, 2 << 20) is bodies.large
    assert [bodies.grow("a", 0, LARGEST_SMALL) for _ in range(3)] == [None, None, bodies.small]
    bodies.free("a", LARGEST_SMALL + 1)
    bodies.free("a", LARGEST_SMALL)
    bodies.free("a", LARGEST_SMALL)
    assert (bodies.small.held, bodies.large.held) == (0, 0)


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        ("/a/socket", ""),
        (None, ""),
    ],
)
def test_an_address_stands_for_one_client(peername: object, address: str) -> None:
    assert address_of(peername) == address
