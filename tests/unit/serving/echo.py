"""A REST server whose app only echoes, and what a test says to it over a socket."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import Any

from serving.errors import ServingError
from serving.flags import Options
from serving.http import RestServer, listen
from serving.message import Response
from serving.rest import Body
from tests.waiting import DEADLINE_S


class EchoApp:
    """Answers with what it was asked; `/wait` holds the worker until `release` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.waiting = threading.Event()
        self.begun: Callable[[str], object] = str

    def answer(self, method: str, target: str, origin: str | None, body: Body) -> Response:
        if target == "/wait":
            self.waiting.set()
            self.release.wait(DEADLINE_S)
        if target == "/big":
            return Response(200, b"x" * (32 << 20))
        return Response(200, f"{method} {target} ".encode() + (body if isinstance(body, bytes) else b"(large)"))

    def refuse(self, error: ServingError) -> Response:
        return Response(429, error.message.encode())

    def begin(self, method: str, target: str, body: bytes, threads: Any, deliver: Callable[[Response], None]) -> bool:
        """Answers `/soon` from the event loop, everything else in a worker."""
        if target != "/soon":
            return False
        self.begun(body.decode())
        threads.call(deliver, self.answer(method, target, None, body))
        return True


class EchoServer:
    """A server with its app."""

    def __init__(self, **options: Any) -> None:
        self.app = EchoApp()
        settings = Options(rest_api_num_threads=4, **options)
        self.server = RestServer(self.app, listen("127.0.0.1", 0), settings)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE_S)

    def exchange(self, data: bytes) -> bytes:
        """Everything that the server sends until it closes, for one or more requests."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while data := client.recv(1 << 16):
            received += data
    except ConnectionResetError:
        pass
    return received


def status_of(reply: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/\d\.\d (\d{3})", reply)]
