"""Is a port free, and if not, who has it and what to type instead."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

import pytest

from bundle.errors import BundleError
from rollout import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        assert not ports.is_free("0.0.0.0", port)
    assert ports.is_free("127.0.0.1", port)
    ports.require_free("127.0.0.1", port, "REST_PORT")


def test_a_port_whose_last_connection_lingers_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = listener.accept()
        accepted.close()  # The server's side closes first and is left in TIME_WAIT.
        client.close()
    assert ports.is_free("127.0.0.1", port)


def test_who_has_it_and_another_one_are_named(taken: int) -> None:
    with pytest.raises(BundleError) as caught:
        ports.require_free("127.0.0.1", taken, "REST_PORT")
    message = str(caught.value)
    assert f"port {taken} on 127.0.0.1 is taken by " in message
    assert f"(pid {os.getpid()})" in message
    proposed = re.search(r"make up REST_PORT=(\d+)$", message)
    assert proposed is not None
    assert ports.is_free("127.0.0.1", int(proposed[1]))


def test_the_proposal_is_a_port_also_near_the_last_one() -> None:
    for port in (65535, 65000, 64600):
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
        with listener, pytest.raises(BundleError) as caught:
            ports.require_free("127.0.0.1", port, "REST_PORT")
        proposed = int(str(caught.value).rsplit("=", 1)[1])
        assert 1024 <= proposed <= 65535
        assert ports.is_free("127.0.0.1", proposed)


def test_an_address_that_is_not_ours_points_to_the_setting() -> None:
    with pytest.raises(BundleError, match=r"cannot listen on 192\.0\.2\.1:8501: .*check BIND"):
        ports.is_free("192.0.2.1", 8501)
    with pytest.raises(BundleError, match="check BIND"):
        ports.is_free("1.2", 8501)
