"""HTTP requests and responses as the connections and the app exchange them, and the bytes of a response."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate

JSON = "application/json"
HTML = "text/html"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    409: "Conflict",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "Client Closed Request",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_MAX_INFLATED = 100 << 20


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, but for what the connection adds to it."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


@dataclass(slots=True)
class Request:
    """A request as it arrived; `body` is complete when it is handed to the app."""

    version: str = "1.1"
    method: str = ""
    target: str = ""
    origin: str | None = None
    gzip: bool = False
    keep_alive: bool = True
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    held: int = 0
    refusal: Response | None = None

    def joined(self) -> bytes:
        """The body as it was sent."""
        if len(self.chunks) != 1:
            self.chunks = [b"".join(self.chunks)]
        return self.chunks[0]

    def body(self) -> bytes:
        """The body, decompressed, once; what cannot be decompressed is empty, as on the real server."""
        data = self.joined()
        self.chunks.clear()
        return _inflate(data) if self.gzip else data


def html_error(status: int, reason: str) -> Response:
    """The page with which the real server's HTTP library refuses a request, closing the connection."""
    page = f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n"
    return Response(status, page.encode(), HTML, close=True)


def render(request: Request, response: Response, close: bool) -> bytes:
    """The bytes of an answer, with the headers that the real server sends, in its order."""
    if (request.method, request.version, close) == _USUAL_REQUEST and (
        (response.status, response.content_type, response.headers) == _USUAL_RESPONSE
    ):
        return _USUAL % (_date().encode(), len(response.body), response.body)
    old = request.version == "1.0"
    head = [f"HTTP/{request.version} {response.status} {REASONS.get(response.status, 'Unknown')}"]
    if response.content_type in (JSON, HTML, "text/plain"):
        head.append(f"Content-Type: {response.content_type}")
    head += [f"{name}: {value}" for name, value in response.headers]
    if old and not close:
        head.append("Connection: keep-alive")
    if not old:
        head.append(f"Date: {_date()}")
    if not (old and close):
        head.append(f"Content-Length: {len(response.body)}")
    if response.content_type not in (JSON, HTML, "text/plain"):
        head.append(f"Content-Type: {response.content_type}")
    if close and not old:
        head.append("Connection: close")
    # A body behind the head of HEAD would be taken for the beginning of the next answer.
    body = b"" if request.method == "HEAD" else response.body
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


# What nearly every answer looks like, written in a fraction of the time.
_USUAL_REQUEST = ("POST", "1.1", False)
_USUAL_RESPONSE = (200, JSON, ())
_USUAL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
_date_cache = (0, "")


def _date() -> str:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        inflated = inflater.decompress(data, _MAX_INFLATED + 1)
    except zlib.error:
        return b""
    whole = inflater.eof and not inflater.unused_data and len(inflated) <= _MAX_INFLATED
    return inflated if whole else b""
