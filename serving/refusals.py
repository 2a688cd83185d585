"""What is answered to requests that are not taken: what was found, what was expected, what to do."""

from __future__ import annotations

from serving.codec import reply
from serving.message import JSON, Response
from serving.places import Account


def too_large(limit: int) -> Response:
    """To a body larger than `limit` bytes."""
    return refusal(413, f"The request body is larger than {limit} bytes, the limit set by --max_request_body_bytes")


def overloaded(bodies: Account) -> Response:
    """To a body for which an account has no room."""
    return refusal(
        429,
        f"The bodies of requests that are being received or answered hold {bodies.held} bytes; expected at most"
        f" {bodies.most}, of which one client address may have half. Try again later",
    )


def refusal(status: int, message: str) -> Response:
    """The answer, behind which the connection is closed, to a request that is not taken."""
    return Response(status, reply.error(message), JSON, close=True)


NO_PLACE = refusal(
    503,
    "All connections that --max_connections allows, or the half of them that one client address may have, are being"
    " answered. Try again later, or ask on one of them",
)
