"""One answer for every request, for servers that run ASGI or RSGI applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

ANSWER = b'{\n    "predictions": [[' + b", ".join([b"0.123456789"] * 10) + b"]\n    ]\n}"
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Read the request, then answer it; for uvicorn and granian."""
    if scope["type"] != "http":
        raise NotImplementedError("there is nothing to start")
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


async def rsgi(_scope: Any, protocol: Any) -> None:
    """Read the request, then answer it; for granian."""
    await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], ANSWER)
