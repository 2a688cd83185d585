"""The process that holds one version: `python -m rollout.gate.worker FOLDER CHANNEL PARENT`.

It shuts itself in, then answers one JSON request after the other on the socket CHANNEL until that is closed. It gives
no verdict: it says what the version does, and its parent judges.
"""

from __future__ import annotations

import json
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bundle import arguments, libraries
from rollout.gate import sandbox

_SHOWN = "model-server"
"""What the version finds as its command line: it is not told that it is being examined."""


def serve(folder: Path, connection: Connection, parent: int) -> None:
    """Answer requests about the version in `folder` until `connection` is closed."""
    arguments.shown_as(_SHOWN)
    libraries.do_without_a_home()
    readable = [*libraries.readable("bundle", "rollout", "serving"), folder, Path.cwd()]
    unrestricted = sandbox.enter(parent, readable)
    import tensorflow  # noqa: F401 - now rather than at the first request: two workers then do it side by side

    from rollout.gate.subject import Subject

    subject = Subject(folder, unrestricted)
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(json.dumps(_answer(subject, request)).encode())


def _answer(subject: Any, request: dict[str, Any]) -> dict[str, Any]:
    from rollout.gate.subject import Unable

    do = getattr(subject, request.pop("do"))
    try:
        return {"answer": do(**request)}
    except Unable as error:
        return {"error": str(error)}


def main() -> int:
    """Serve the version named on the command line."""
    folder, channel, parent = sys.argv[1:]
    serve(Path(folder), Connection(int(channel)), int(parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
