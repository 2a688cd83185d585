"""Objects on their way to another process."""

from __future__ import annotations

import socket
import threading
from typing import Any

import numpy as np
import pytest

from serving import passing
from serving.errors import Code, ServingError


def passed(message: Any) -> Any:
    """What arrives at the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=passing.send, args=(ours, message))
        sender.start()
        received = passing.receive(theirs)
        sender.join()
    return received


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((0, 2), np.int8),
        np.arange(6).reshape(2, 3).T,
        np.arange(200_000, dtype=np.float32),
        np.empty(0, object),
        np.array([[b"a", b""], [b"\xff\0", b"long" * 50_000]], object),
    ],
)
def test_an_array_of_any_shape_and_layout_arrives(array: Any) -> None:
    back = passed({"it": (1, array)})["it"][1]
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())
    assert back.size == 0 or back.flags.writeable


def test_strings_are_not_pickled_one_by_one() -> None:
    strings = np.array([b"x"] * 100_000, object)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=passing.send, args=(ours, strings))
        sender.start()
        (count,) = np.frombuffer(passing.exactly(theirs, 8), np.uint64)
        sizes = np.frombuffer(passing.exactly(theirs, int(count) * 8), np.uint64)
        for size in sizes:
            passing.exactly(theirs, int(size))
        sender.join()
    assert sizes[0] < 1000  # The pickle itself; the strings and their lengths follow.
    assert sorted(sizes[1:].tolist()) == [100_000, 800_000]


def test_an_error_keeps_its_code() -> None:
    back = passed(ServingError(Code.NOT_FOUND, "no such thing"))
    assert (back.code, back.message, str(back)) == (Code.NOT_FOUND, "no such thing", "NOT_FOUND: no such thing")


def test_a_message_that_ends_too_early_is_told() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b"abc")
        ours.close()
        with pytest.raises(EOFError):
            passing.receive(theirs)
