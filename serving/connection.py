"""One HTTP connection: llhttp's parser below, the REST app above, and the limits that keep both out of trouble."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import httptools

from serving import hosts, refusals
from serving.hosts import AllowedHosts
from serving.message import REASONS, Request, Response, html_error, render
from serving.places import Bodies, Places, State, address_of

_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"})
_BAD_TARGET = re.compile(rb"%(?![0-9a-fA-F]{2})|[^\x21-\x7e]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_MAX_HEADER_BYTES = 1 << 20
# The longest that anybody asks for has the names of a model and of a label.
_LONGEST_TARGET = 64 << 10
_MAX_PIPELINED = 16
# A request may take longer than the time limit if it comes at least this fast, all the time.
_SLOWEST_BYTES_PER_S = 50_000
_IDLE_S = 900.0
_LINGER_S = 2.0


class Host(Protocol):
    """What a connection needs of the server that it belongs to."""

    connections: set[Connection]
    hosts: AllowedHosts
    places: Places
    bodies: Bodies
    max_body_bytes: int
    read_timeout_s: float

    def answer(self, request: Request, deliver: Callable[[Response], None]) -> None:
        """Answer `request`; `deliver` is called in the event loop, later."""

    def discard(self, client: str, body: bytes | bytearray, held: int) -> None:
        """Free a body that nobody has been given, then its `held` bytes; the caller keeps no reference to it."""

    @property
    def stopping(self) -> bool:
        """Whether connections are to be closed when they have nothing to do."""


class Connection(asyncio.Protocol):
    """Parses requests, answers them in order, one at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._transport: Any = None
        self._parser = _parser(self)
        self._request: Request | None = None
        self._url = b""
        self._announced = b""
        self._interrupted = self._replaying = False
        self._headers_done = False
        self._head_bytes = 0
        self._started = time.monotonic()
        self._arrived = 0
        self._checked = self._owed_s = 0.0
        self.address = ""
        self.state = State.IDLE
        self._waiting: deque[Request] = deque()
        self._answering: Request | None = None
        self._writable = True
        self._blocked_since = 0.0
        self._closing = False
        self._lost = False
        self._ended = False
        self._held: set[Request] = set()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = transport
        self.address = address_of(transport.get_extra_info("peername"))
        self._host.connections.add(self)
        if not self._host.places.enter(self):
            self._closing = True
            self._transport.writelines(render(Request(), refusals.NO_PLACE, close=True))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Forget the connection; an answer that is under way is dropped when it comes."""
        self._closing = self._lost = True
        self._host.connections.discard(self)
        self._host.places.leave(self)
        self._waiting.clear()
        if self._answering is not None:
            self._answering.abandoned = True
        for request in list(self._held):
            if request is not self._answering:  # Of which somebody has the body.
                self._discard(request)

    def data_received(self, data: bytes) -> None:
        """Parse what came; whatever is malformed is refused and ends the connection."""
        if self._closing:
            return
        if self._request is None and data[:1] in (b"\r", b"\n"):
            self._refuse(html_error(400, "Bad Request"))
            return
        self._arrived += len(data)
        if not self._headers_done:
            self._head_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(html_error(501, "Not Implemented"))
        except httptools.HttpParserError:
            self._refuse(self._parse_error())
        else:
            if not self._headers_done and self._head_bytes > _MAX_HEADER_BYTES:
                self._refuse(html_error(431, REASONS[431]))
            elif self._request is not None and self.state is State.IDLE:
                self._host.places.note(self, State.RECEIVING)

    def eof_received(self) -> bool:
        """Answer what was asked even if the client has finished sending; then close."""
        self._ended = True
        self._request = None  # what is incomplete will stay so
        return self._busy

    def pause_writing(self) -> None:
        """Take no further request from a client that does not read its answers."""
        self._writable = False
        self._blocked_since = time.monotonic()

    def resume_writing(self) -> None:
        """Go on with the requests that have waited."""
        self._writable = True
        self._next()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._replaying:
            return
        self._announced = b""
        self._request = Request(self.address)
        self._url = b""
        self._headers_done = False
        self._started = self._checked = time.monotonic()
        self._arrived, self._owed_s = 0, 0.0

    def on_url(self, url: bytes) -> None:
        """A piece of the target; of one that is too long the rest is not kept."""
        if not self._replaying and len(self._url) <= _LONGEST_TARGET:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is ignored."""
        request = self._request
        if request is None or self._headers_done:
            return
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._announced = name + b": " + value
        if name == b"content-length":
            if value.isdigit() and int(value) > self._host.max_body_bytes:
                request.refusal = refusals.too_large(self._host.max_body_bytes)
        elif name == b"host":
            if not self._host.hosts.allows(value):
                request.refusal = refusals.refusal(403, hosts.refusal(value))
        elif name == b"content-encoding":
            request.gzip = b"gzip" in value
        elif name == b"origin":
            request.origin = value.decode("latin-1")
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(_CONTINUE)

    def on_headers_complete(self) -> None:
        """The head is there: decide whether the request can be taken at all."""
        request = self._request
        if request is None or self._replaying:
            return
        self._interrupted = self._parser.should_upgrade() and self._announced not in (b"", b"content-length: 0")
        self._headers_done = True
        self._head_bytes = 0
        request.version = self._parser.get_http_version()
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive()
        request.target = _path_of(self._url.decode("latin-1"))
        if len(self._url) > _LONGEST_TARGET:
            request.refusal = html_error(414, REASONS[414])
        elif request.version[0] != "1" or _BAD_TARGET.search(self._url):
            request.refusal = html_error(400, "Bad Request")
        elif request.method not in _METHODS:
            request.refusal = html_error(501, "Not Implemented")
        if request.refusal is not None:
            self._refuse(request.refusal, request)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        request = self._request
        if request is None or self._closing:
            return
        if len(request.body) + len(body) > self._host.max_body_bytes:
            self._refuse(refusals.too_large(self._host.max_body_bytes), request)
        elif (full := self._host.bodies.grow(self.address, request.held, len(body))) is not None:
            self._refuse(refusals.overloaded(full), request)
        else:
            request.held += len(body)
            self._held.add(request)
            request.add(body)

    def on_message_complete(self) -> None:
        """The request is complete: answer it, after those before it."""
        if self._interrupted:
            return
        request, self._request = self._request, None
        self._headers_done = False
        self._started = time.monotonic()
        if request is None or self._closing:
            return
        self._waiting.append(request)
        if len(self._waiting) >= _MAX_PIPELINED:
            self._transport.pause_reading()
        self._next()

    # Time

    def check_time(self, now: float) -> None:
        """End the connection if its client is too slow at sending, at reading, or at asking again."""
        if not self._writable:
            if now - self._blocked_since > self._host.read_timeout_s:
                self._transport.abort()
        elif self._request is not None and not self._closing:
            # What came fast earns no time for a silence that follows.
            self._owed_s = max(0.0, self._owed_s + now - self._checked - self._arrived / _SLOWEST_BYTES_PER_S)
            self._checked, self._arrived = now, 0
            if self._owed_s > self._host.read_timeout_s:
                self._refuse(html_error(408, "Request Timeout"))
        elif not self._busy and now - self._started > _IDLE_S:
            self._transport.close()

    def shut_down(self) -> None:
        """Close now if idle, otherwise after the answer under way."""
        if self._busy:
            for request in (*self._waiting, *filter(None, (self._answering, self._request))):
                request.keep_alive = False
        else:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    def make_room(self) -> None:
        """Close now for another connection's sake; nothing is being answered."""
        self._closing = True
        self._transport.abort()

    @property
    def _busy(self) -> bool:
        return self._answering is not None or bool(self._waiting) or self._request is not None

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # The upgrade is not taken: what follows is the request's body, or HTTP again.
                data = data[upgrade.args[0] :]
                if self._interrupted:
                    self._go_on_with_the_body()
                if not data:
                    return

    def _go_on_with_the_body(self) -> None:
        """Have a new parser at the place where the old one believes that HTTP has ended: behind the head."""
        self._interrupted, self._replaying = False, True
        self._parser = _parser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + self._announced + b"\r\n\r\n")
        self._replaying = False

    def _parse_error(self) -> Response:
        if self._headers_done:
            return html_error(413, REASONS[413])  # a bad chunk, in the real server's words
        return html_error(400, "Bad Request")

    def _next(self) -> None:
        if self._answering is not None or not self._waiting or not self._writable:
            return
        if len(self._waiting) == _MAX_PIPELINED:
            self._transport.resume_reading()
        request = self._waiting.popleft()
        self._answering = request
        self._host.places.note(self, State.ANSWERING)
        if self._host.stopping:
            request.keep_alive = False
        if request.refusal is not None:
            self._deliver(request.refusal)
        else:
            self._host.answer(request, self._deliver)

    def _deliver(self, response: Response) -> None:
        request, self._answering = self._answering, None
        if request is not None:
            self._release(request)
        if request is None or self._transport.is_closing():
            return
        close = response.close or not request.keep_alive
        for piece in render(request, response, close):
            self._transport.write(piece)
        self._started = time.monotonic()
        if close or (self._ended and not self._waiting):
            self._finish(linger=response.close)
        else:
            self._next()
            if self._answering is None:
                self._host.places.note(self, State.IDLE if self._request is None else State.RECEIVING)

    def _release(self, request: Request) -> None:
        if request in self._held:
            self._held.remove(request)
            self._host.bodies.free(self.address, request.held)

    def _discard(self, request: Request) -> None:
        body = request.taken()
        if request in self._held:
            self._held.remove(request)
            self._host.discard(self.address, body, request.held)

    def _refuse(self, response: Response, request: Request | None = None) -> None:
        """Answer what cannot be parsed or taken, after the requests before it, and end the connection."""
        if self._closing:
            return
        self._closing = True
        self._request = None
        refused = request or Request()
        refused.refusal = response
        refused.keep_alive = False
        self._discard(refused)
        self._waiting.append(refused)
        self._next()

    def _finish(self, linger: bool) -> None:
        """Close; after a refusal only when the client has had time to read it, or it would be lost."""
        self._closing = True
        self._waiting.clear()
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)
        else:
            self._transport.close()


def _path_of(target: str) -> str:
    """The target without the scheme and host of its absolute form, which are looked for at its start alone."""
    absolute = _ABSOLUTE.match(target)
    return target[absolute.end() :] if absolute else target


def _parser(connection: Connection) -> Any:
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(
        lenient_version=True, lenient_optional_cr_before_lf=True, lenient_data_after_close=True
    )
    return parser
