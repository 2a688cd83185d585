"""A model server in a process of its own, and what a test does to it from outside."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.protobuf import text_format
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.forks import Forked
from tests.ports import free_ports
from tests.waiting import DEADLINE_S, until

START_DEADLINE_S = 120.0


class Kits:
    """The SavedModels that tests publish, and the ways to break them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def publish(self, base: Path, name: str, number: int) -> Path:
        """Make kit `number` appear at once as `base`/`name`."""
        base.mkdir(parents=True, exist_ok=True)
        staging = base / f".{name}.tmp"
        shutil.copytree(self._folder / f"kit-{number}", staging)
        return staging.rename(base / name)

    def fill(self, folder: Path, number: int) -> None:
        """Copy kit `number` into a folder that may be there already, file by file."""
        shutil.copytree(self._folder / f"kit-{number}", folder, dirs_exist_ok=True)

    def publish_without_variables(self, base: Path, name: str, number: int) -> Path:
        """Publish kit `number` as a copy looks that was stopped half-way."""
        folder = self.publish(base.with_name(base.name + "-elsewhere"), name, number)
        shutil.rmtree(folder / "variables")
        base.mkdir(parents=True, exist_ok=True)
        return folder.rename(base / name)


def serve_and_look_often(flags: Sequence[str]) -> int:
    """The server's main, with a look at disk and configuration ten times as often as the flags say."""
    from serving import main, polling

    begin = polling._Poller.__init__

    def begin_often(self: polling._Poller, name: str, period_s: float) -> None:
        begin(self, name, period_s / 10)

    polling._Poller.__init__ = begin_often  # type: ignore[method-assign]
    return main.main(flags)


@dataclasses.dataclass(frozen=True)
class Held:
    """A request that waits for a file."""

    answer: Future[float]
    file: Path

    def release(self) -> None:
        """Let it be answered."""
        self.file.touch()

    @property
    def outcome(self) -> str:
        """What became of it once it has ended: its answer, or "cut"."""
        try:
            return str(self.answer.result(60))
        except (requests.RequestException, grpc.RpcError):
            return "cut"


class Engine:
    """A running model server: forked, and with short polls; or `fresh`, as users start it."""

    def __init__(self, log: Path, flags: Sequence[str], fresh: bool = False) -> None:
        self.grpc_port, self.rest_port = free_ports(2)
        self._log = log
        root = f"--model_root={log.parent.parent}"  # Tests add models while it runs, in folders of their own.
        flags = [f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}", root, *flags]
        self.process: Forked | subprocess.Popen[bytes]
        if fresh:
            with log.open("wb") as file:
                command = [sys.executable, "-m", "serving.main", *flags]
                self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        else:
            self.process = Forked(log, serve_and_look_often, flags)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self._entries: dict[str, str] = {}

    @property
    def log(self) -> str:
        """What it has written so far, to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Return when the REST port is open."""
        self.until(self.listening, START_DEADLINE_S)

    def listening(self) -> bool:
        """Whether the REST port is open."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.rest_port)) == 0

    def until(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Return as soon as `condition` holds; fails with the log when it does not, or the server has ended."""

        def holds() -> bool:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log}"
            return condition()

        try:
            until(holds, deadline_s=deadline_s)
        except pytest.fail.Exception:
            pytest.fail(f"not in {deadline_s:g} s; the log is\n{self.log}")

    def url(self, path: str) -> str:
        """The address of a path below /v1/models/."""
        return f"http://127.0.0.1:{self.rest_port}/v1/models/{path}"

    def predict(self, model: str, signature: str = "serving_default", value: Any = 0.0, which: str = "") -> Any:
        """Return the first prediction for one instance; which is "/versions/1" or "/labels/x"."""
        body = {"signature_name": signature, "instances": [value]}
        answer = requests.post(self.url(f"{model}{which}:predict"), data=json.dumps(body), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()["predictions"][0]

    def refusal(self, model: str, which: str = "") -> tuple[int, str]:
        """Return status and message of a prediction that is refused."""
        body = json.dumps({"instances": [0.0]})
        answer = requests.post(self.url(f"{model}{which}:predict"), data=body, timeout=60)
        return answer.status_code, answer.json().get("error", "")

    def states(self, model: str) -> dict[int, str]:
        """Version to state; empty when the model is unknown."""
        return {version: described[0] for version, described in self.statuses(model).items()}

    def statuses(self, model: str) -> dict[int, tuple[str, str, str]]:
        """Version to state, code and message, in the order of the reply."""
        answer = requests.get(self.url(model), timeout=30)
        if answer.status_code == 404:
            return {}
        return {
            int(each["version"]): (
                each["state"],
                each["status"]["error_code"],
                each["status"]["error_message"],
            )
            for each in answer.json()["model_version_status"]
        }

    def serve(self, base: Path, more: str = "") -> str:
        """List one more model, named after its base path, by a reload over gRPC; returns its name."""
        self._entries[base.name] = f'name: "{base.name}" base_path: "{base}" {more}'
        self.reload()
        return base.name

    def drop(self, model: str) -> None:
        """Take a model out of the list."""
        del self._entries[model]
        self.reload()

    def reload(self, *more: str) -> None:
        """Send the list of models, and more entries; raises grpc.RpcError when the server refuses it."""
        entries = [*self._entries.values(), *more]
        text = " ".join(f'config {{ {each} model_platform: "tensorflow" }}' for each in entries)
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(f"config {{ model_config_list {{ {text} }} }}", request)
        stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
        stub.HandleReloadConfigRequest(request, timeout=60)

    def predict_grpc(self, model: str, signature: str = "serving_default", value: float = 0.0) -> float:
        """Return the one number that the model answers to one number, asked for over gRPC."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        tensor = request.inputs["seconds" if signature == "slow" else "x"]
        tensor.dtype = 1
        tensor.tensor_shape.dim.add(size=1)
        tensor.float_val.append(value)
        reply = prediction_service_pb2_grpc.PredictionServiceStub(self.channel).Predict(request, timeout=60)
        (output,) = reply.outputs.values()
        return float(output.float_val[0])

    @contextlib.contextmanager
    def holding(self, base: Path, over_grpc: bool = False) -> Iterator[Held]:
        """Keep the model of `base` busy with a request that runs when the block begins, and lasts until `release`."""
        file = base / "released"
        ask = self._held_grpc if over_grpc else self._held_rest
        with ThreadPoolExecutor(1) as pool:
            held = Held(pool.submit(ask, base.name, str(file)), file)
            self.until(lambda: f'held until there is "{file}"' in self.log)
            try:
                yield held
            finally:
                held.release()

    def _held_rest(self, model: str, path: str) -> float:
        return float(self.predict(model, "held", path))

    def _held_grpc(self, model: str, path: str) -> float:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, "held"
        tensor = request.inputs["path"]
        tensor.dtype = 7
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(path.encode())
        reply = prediction_service_pb2_grpc.PredictionServiceStub(self.channel).Predict(request, timeout=60)
        return float(reply.outputs["number"].float_val[0])

    @property
    def rss_mb(self) -> int:
        """Resident memory of the server."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def exit_status(self, deadline_s: float = START_DEADLINE_S) -> int:
        """Wait for the end; returns the exit status."""
        return self.process.wait(deadline_s)

    def kill(self) -> None:
        """End it whatever it does."""
        self.channel.close()
        self.process.kill()
        self.process.wait(30)
