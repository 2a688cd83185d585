"""A client that means well: `python -m tests.hostile.honest REST_PORT GRPC_PORT REQUEST_HEX`.

It asks for a status, a small prediction over REST and one over gRPC every 20 ms each. For each line on stdin it prints
one, in JSON: what it has seen since the line before, the seconds that each request took, by kinds, and the failures.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from bundle import output

PERIOD_S = 0.02
LONGEST_S = 20.0
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


@dataclass
class Seen:
    """What became of requests."""

    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Asker(threading.Thread):
    """Asks again and again; a request that comes late because of the one before counts from when it was due."""

    def __init__(self, ask: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._seen = Seen()
        self.start()

    def run(self) -> None:
        due = time.monotonic()
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                failure = self._ask()
            except Exception as error:  # noqa: BLE001 - whatever it is, an honest client was not served
                failure = repr(error)
            self._seen.took_s.append(time.monotonic() - due)
            if failure:
                self._seen.failures.append(failure[:300])
            due = max(due + PERIOD_S, time.monotonic() - PERIOD_S)

    def take(self) -> Seen:
        """What it has seen since this was called last."""
        seen, self._seen = self._seen, Seen()
        return seen


def rest(port: int, method: str, path: str, body: bytes | None, expected: bytes) -> Callable[[], str]:
    """A function that asks over one connection that is kept, and says what was wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)

    def ask() -> str:
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        return "" if answer.status == 200 and expected in content else f"{answer.status} {content[:200]!r}"

    return ask


def rpc(port: int, request: bytes) -> Callable[[], str]:
    """A function that asks over one channel, and says what was wrong."""
    call: Any = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(_PREDICT)
    return lambda: "" if call(request, timeout=LONGEST_S) else "empty"


def main(rest_port: int, grpc_port: int, request: bytes) -> None:
    """Ask until stdin ends."""
    askers = [
        Asker(rest(rest_port, "GET", "/v1/models/m", None, b"AVAILABLE")),
        Asker(rest(rest_port, "POST", "/v1/models/m:predict", b'{"instances": [3.0]}', b"1.5")),
        Asker(rpc(grpc_port, request)),
    ]
    for _ in sys.stdin:
        seen = [asker.take() for asker in askers]
        took = [one.took_s for one in seen]
        failures = [each for one in seen for each in one.failures]
        output.line(json.dumps({"took_s": took, "failures": failures}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]))
