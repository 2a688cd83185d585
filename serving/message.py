"""HTTP requests and responses as the connections and the app exchange them, and the bytes of a response."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
LARGEST_SMALL = 256 << 10
"""The largest body that large ones leave memory for."""
# Up to here a copy of the body takes less than a second write.
_SHORT = 64 << 10


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, but for what the connection adds to it."""

    status: int
    body: bytes | memoryview
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


@dataclass(slots=True, eq=False)
class Request:
    """A request as it arrived, which is complete when it is handed to the app.

    `client` stands for who sent it; `abandoned` says that nobody waits for the answer.
    """

    client: str = ""
    version: str = "1.1"
    method: str = ""
    target: str = ""
    origin: str | None = None
    gzip: bool = False
    keep_alive: bool = True
    body: bytes | bytearray = b""
    held: int = 0
    refusal: Response | None = None
    abandoned: bool = False

    def add(self, piece: bytes) -> None:
        """Append to the body, of which few are in more than one piece."""
        if not self.body:
            self.body = piece
        elif isinstance(self.body, bytearray):
            self.body += piece
        else:
            self.body = bytearray(self.body) + piece

    def taken(self) -> bytes | bytearray:
        """The body as it was sent, once: it is not kept."""
        body, self.body = self.body, b""
        return body


def html_error(status: int, reason: str) -> Response:
    """The page with which the real server's HTTP library refuses a request, closing the connection."""
    page = f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n<H1>{reason}</H1>\n</BODY></HTML>\n"
    return Response(status, page.encode(), HTML, close=True)


def render(request: Request, response: Response, close: bool) -> list[bytes | memoryview]:
    """The bytes of an answer in one piece or two, with the headers that the real server sends, in its order."""
    if (request.method, request.version, close) == _USUAL_REQUEST and (
        (response.status, response.content_type, response.headers) == _USUAL_RESPONSE
    ):
        return _pieces(_USUAL % (_date().encode(), len(response.body)), response.body)
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
    return _pieces("\r\n".join(head).encode("latin-1") + b"\r\n\r\n", body)


def _pieces(head: bytes, body: bytes | memoryview) -> list[bytes | memoryview]:
    return [head + body] if len(body) <= _SHORT else [head, body]


# What nearly every answer looks like, written in a fraction of the time.
_USUAL_REQUEST = ("POST", "1.1", False)
_USUAL_RESPONSE = (200, JSON, ())
_USUAL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\nContent-Length: %d\r\n\r\n"
_date_cache = (0, "")


def _date() -> str:
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, formatdate(now, usegmt=True))
    return _date_cache[1]
