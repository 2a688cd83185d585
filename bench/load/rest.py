"""Our own HTTP load: bytes built once, one connection per client, kept alive: `python -m bench.load.rest ORDER`."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.load.recording import Order, Recorder

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 "
_PAUSE_S = 0.02


class Client(asyncio.Protocol):
    """One connection that has one request under way at any time."""

    def __init__(self, request: bytes, recorder: Recorder, ended: asyncio.Future[None]) -> None:
        self._request = request
        self._recorder = recorder
        self._ended = ended
        self._received = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        """Note an answer that is complete and send the next request."""
        data = self._received + data
        size = self._size(data)
        if size is None or len(data) < size:
            self._received = data
            return
        self._received = b""
        began, self._began = self._began, 0.0
        if self._recorder.record(began, data.startswith(_OK)):
            self._send()
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """A request that was under way has failed."""
        del exc
        if self._began:
            self._recorder.record(self._began, False)
        if not self._ended.done():
            self._ended.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        self._began = time.monotonic()
        self._transport.write(self._request)

    def _size(self, data: bytes) -> int | None:
        end = data.find(_HEAD_END)
        if end < 0:
            return None
        length = _LENGTH.search(data, 0, end)
        if length is None:
            self._recorder.problem = f"the answer has no Content-Length: {data[:200]!r}"
            return len(data)
        return end + len(_HEAD_END) + int(length[1])


async def _client(order: Order, request: bytes, recorder: Recorder) -> None:
    """Connect, and connect again when the server hangs up, until the run is over."""
    loop = asyncio.get_running_loop()
    while not recorder.is_over(time.monotonic()):
        ended: asyncio.Future[None] = loop.create_future()
        began = time.monotonic()
        try:
            await loop.create_connection(lambda: Client(request, recorder, ended), order.host, order.port)  # noqa: B023
        except OSError:
            recorder.record(began, False)
            await asyncio.sleep(_PAUSE_S)
        else:
            await ended


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception in a callback ends the run: its client would wait for ever."""
    loop.default_exception_handler(context)
    loop.stop()


async def _run(order: Order) -> None:
    asyncio.get_running_loop().set_exception_handler(_fail)
    body = Path(order.request).read_bytes()
    head = f"POST {order.path} HTTP/1.1\r\nHost: {order.host}:{order.port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    recorder = Recorder(order)
    await asyncio.gather(*(_client(order, request, recorder) for _ in range(order.clients)))
    recorder.finish()


if __name__ == "__main__":
    uvloop.run(_run(Order.from_command_line()))
