"""What the smoke tests ask: the stack that runs here, or a server elsewhere (`make smoke-test HOST=name[:port]`)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
import requests
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from bundle import environment, manifest
from bundle.models_config import base_path_of
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import stack

TIMEOUT_S = 30


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server and the model that is asked for."""

    host: str
    rest_port: int
    grpc_port: int
    model: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.rest_port}"

    def rest(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """One REST request; fails the test in plain words when nobody answers."""
        try:
            return requests.request(method, self.url + path, timeout=TIMEOUT_S, **arguments)
        except requests.RequestException as error:
            self._gone(error)

    def predict(self, body: Any) -> requests.Response:
        """One REST prediction."""
        return self.rest("POST", f"/v1/models/{self.model}:predict", json=body)

    def grpc(self, call: Any, request: Any) -> Any:
        """One gRPC call; fails the test in plain words when nobody answers."""
        try:
            return call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                self._gone(error)
            raise

    def available(self) -> list[int]:
        """AVAILABLE versions, highest first."""
        reply = self.rest("GET", f"/v1/models/{self.model}")
        assert reply.status_code == 200, reply.text
        entries = reply.json()["model_version_status"]
        return [int(entry["version"]) for entry in entries if entry["state"] == "AVAILABLE"]

    def _gone(self, error: Exception) -> NoReturn:
        reason = type(error).__name__
        pytest.fail(
            f"the server at {self.url} (gRPC port {self.grpc_port}) does not answer ({reason}); "
            "see: make status, make logs",
            pytrace=False,
        )


@pytest.fixture(scope="session")
def settings() -> Settings:
    found = environment.load(environment.find_root())
    running = None if os.environ.get("HOST") else stack.remembered(found)
    return running.settings if running else found


@pytest.fixture(scope="session")
def is_local() -> bool:
    """Whether the server under test serves this machine's models folder."""
    return not os.environ.get("HOST")


@pytest.fixture(scope="session")
def server(settings: Settings) -> Server:
    host, _, port = os.environ.get("HOST", "").partition(":")
    rest_port = int(port or settings.rest_port)
    address = host or {"0.0.0.0": "127.0.0.1"}.get(settings.bind, settings.bind)
    found = Server(address, rest_port, settings.grpc_port, settings.model_name)
    found.rest("GET", f"/v1/models/{found.model}")
    return found


@pytest.fixture(scope="session")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"{server.host}:{server.grpc_port}") as opened:
        yield opened


@pytest.fixture(scope="session")
def predictions(channel: grpc.Channel) -> Any:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def model_service(channel: grpc.Channel) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="session")
def base_path(settings: Settings, is_local: bool) -> Path:
    if not is_local:
        pytest.skip("needs the models folder, which is on the server's machine")
    return base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)


@pytest.fixture
def live_folder(server: Server, base_path: Path) -> Path:
    """Folder of the version that answers."""
    return version_folders(base_path)[server.available()[0]]


@pytest.fixture
def live_manifest(live_folder: Path) -> manifest.Manifest:
    document = manifest.read(live_folder)
    if document is None:
        pytest.skip(f"{live_folder} has no manifest: it was made elsewhere")
    return document


_results: dict[str, tuple[str, str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report: pytest.TestReport = yield
    if report.when == "call" or report.skipped or report.failed:
        text = (getattr(item, "function", None).__doc__ or item.name).strip().splitlines()[0]
        _results[text] = (report.outcome, _reason(report))
    return report


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return "" if report.passed else "see above"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of what was checked."""
    terminalreporter.section("what was checked")
    for text, (outcome, reason) in _results.items():
        terminalreporter.write_line(f"{outcome:<8} {text}{f' ({reason})' if reason else ''}")
