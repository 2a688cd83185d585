"""A server that only speaks the status API and reports metrics, on a real socket: it serves its base paths at once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bundle import pins
from bundle.versions import version_folders
from rollout.client import METRICS_PATH

BROKEN = b"broken"
"""Content of a saved_model.pb that this server says it cannot load."""


class StandIn:
    """Serves the highest good version of each model, or those that `config`, a models.config, pins.

    With `answer` set it gives that status and text instead.
    """

    def __init__(self, base_paths: Mapping[str, Path], config: Path | None = None) -> None:
        self.base_paths = dict(base_paths)
        self.config = config
        self.answer: tuple[int, bytes] | None = None
        self.page: str | None = None
        self.next_page: Callable[[], str] | None = None
        self.asked: list[str] = []
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.asked.append(self.path)
                status, body = stand_in.answer or stand_in._status(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _metrics(self) -> tuple[int, bytes]:
        page = self.next_page() if self.next_page else self.page
        return (404, b"") if page is None else (200, page.encode())

    def _status(self, path: str) -> tuple[int, bytes]:
        if path == METRICS_PATH:
            return self._metrics()
        model, _, label = path.removeprefix("/v1/models/").removesuffix("/metadata").partition("/labels/")
        if model not in self.base_paths:
            return 404, json.dumps({"error": f"Could not find any versions of model {model}"}).encode()
        pinned = pins.read(self.config, model) if self.config else None
        if label:
            return (200, b"{}") if pinned and label in pinned.labels else (400, b"{}")
        entries = []
        loaded = False
        for number, folder in reversed(version_folders(self.base_paths[model]).items()):
            good = _loads(folder)
            wanted = not loaded if pinned is None else number in pinned.versions
            state = "AVAILABLE" if good and wanted else "END"
            loaded = loaded or good
            status = ("OK", "") if good else ("FAILED_PRECONDITION", "it cannot be loaded")
            entries.append(
                {
                    "version": str(number),
                    "state": state,
                    "status": {"error_code": status[0], "error_message": status[1]},
                }
            )
        return 200, json.dumps({"model_version_status": entries}).encode()


def _loads(folder: Path) -> bool:
    graph = folder / "saved_model.pb"
    return graph.is_file() and graph.read_bytes() != BROKEN
