"""Threads that clients share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from serving.fair import FairPool, FairSemaphore
from tests.waiting import DEADLINE_S, until


@pytest.fixture
def pool() -> Iterator[FairPool]:
    """A pool of one thread."""
    made = FairPool(1, "fair")
    yield made
    made.shutdown()


def test_clients_take_turns_and_each_is_served_in_its_order(pool: FairPool) -> None:
    barrier, done = threading.Barrier(2), list[str]()
    pool.submit("a", lambda: (barrier.wait(DEADLINE_S), barrier.wait(DEADLINE_S)))
    barrier.wait(DEADLINE_S)
    for client, name in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")):
        pool.submit(client, done.append, name)
    barrier.wait(DEADLINE_S)
    until(lambda: len(done) == 6)
    assert done == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_no_more_threads_run_than_asked_for_and_no_fewer_than_needed() -> None:
    pool, barrier = FairPool(3, "fair-three"), threading.Barrier(3)
    for _ in range(50):
        for client in ("a", "a", "b"):
            pool.submit(client, barrier.wait, DEADLINE_S)  # All three must run at once.
    done = threading.Event()
    until(lambda: barrier.n_waiting == 0)
    pool.submit("a", done.set)
    assert done.wait(DEADLINE_S)
    assert not barrier.broken
    assert len([each for each in threading.enumerate() if each.name.startswith("fair-three")]) == 3
    pool.shutdown()
    until(lambda: not any(each.name.startswith("fair-three") for each in threading.enumerate()))


def test_of_one_client_no_more_run_than_asked_for_and_the_others_do_not_wait() -> None:
    pool, held, done = FairPool(4, "fair-four", of_one=2), threading.Event(), list[str]()
    running = Counter[str]()

    def hold(client: str) -> None:
        running[client] += 1
        held.wait(DEADLINE_S)

    for _ in range(5):
        pool.submit("a", hold, "a")
    for name in ("b1", "b2", "b3"):
        pool.submit("b", done.append, name)
    until(lambda: len(done) == 3)
    assert running == {"a": 2}
    assert done == ["b1", "b2", "b3"]
    held.set()
    until(lambda: running == {"a": 5})
    until(lambda: not pool._admitted and not pool._behind)
    pool.shutdown()


def test_what_fails_ends_no_thread(pool: FairPool, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    pool.submit("a", int, "no number")
    pool.submit("a", done.set)
    assert done.wait(DEADLINE_S)
    assert "A call in a worker failed" in caplog.text


def test_after_the_end_nothing_more_is_begun(pool: FairPool) -> None:
    held, done = threading.Event(), list[str]()
    pool.submit("a", held.wait, DEADLINE_S)
    pool.submit("a", done.append, "late")
    pool.shutdown()
    held.set()
    until(lambda: not any(each.name.startswith("fair_") for each in threading.enumerate()))
    assert done == []


def test_who_gives_a_permit_back_does_not_get_it_again_before_those_that_wait() -> None:
    permits, barrier = FairSemaphore(1), threading.Barrier(2)
    assert permits.acquire(0)
    waiter = threading.Thread(target=lambda: permits.acquire(DEADLINE_S) and barrier.wait(DEADLINE_S))
    waiter.start()
    until(lambda: len(permits._waiting) == 1)
    permits.release()
    assert not permits.acquire(0)
    barrier.wait(DEADLINE_S)
    waiter.join(DEADLINE_S)


def test_permits_are_given_in_the_order_in_which_threads_ask() -> None:
    permits, order = FairSemaphore(1), list[int]()
    assert permits.acquire(0)

    def take(number: int) -> None:
        assert permits.acquire(DEADLINE_S)
        order.append(number)
        permits.release()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        until(lambda: len(permits._waiting) == len(threads))
    permits.release()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert order == [0, 1, 2, 3, 4]


def test_a_permit_that_comes_too_late_goes_to_the_next() -> None:
    permits = FairSemaphore(2)
    assert [permits.acquire(0.01) for _ in range(3)] == [True, True, False]
    permits.release()
    assert permits.acquire(-1)
    assert not permits.acquire(0)
