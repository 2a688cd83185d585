"""The engine's REST server with one answer for every request: `python -m tests.bench.frontends.own PORT`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from serving import commandline
from serving.http import RestServer, listen
from serving.message import Response
from serving.prediction import RestThreads
from tests.bench.frontends.constant import ANSWER


class Constant:
    """Stands where the engine's app is otherwise."""

    def begin(
        self, _method: str, _target: str, _body: bytes, threads: RestThreads, deliver: Callable[[Response], None]
    ) -> bool:
        """Answer as the engine answers a small prediction, only that there is nothing to compute."""
        threads.call(deliver, Response(200, ANSWER))
        return True


def main() -> None:
    """Serve until a signal comes."""
    options = commandline.parse([f"--rest_api_port={sys.argv[1]}", "--model_name=none", "--model_base_path=/none"])
    RestServer(Constant(), listen("127.0.0.1", options.rest_api_port), options)  # type: ignore[arg-type]
    signal.pause()


if __name__ == "__main__":
    main()
