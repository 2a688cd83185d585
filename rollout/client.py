"""A small client of the TensorFlow Serving API: what the operator's commands ask a running server."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from bundle.errors import BundleError

TIMEOUT_S = 30.0
STATUS_TIMEOUT_S = 5.0  # The server answers about its status from memory.
METRICS_PATH = "/monitoring/prometheus/metrics"  # As serving/monitoring.config says.

_T = TypeVar("_T")


class Unreachable(BundleError):
    """There was no answer from the server's address: what it serves is not known."""


class NothingListens(Unreachable):
    """No server is there."""


class NoAnswer(Unreachable):
    """Something takes connections at the address and did not answer, or not in time."""


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """One version as the server reports it."""

    version: int
    state: str
    error_code: str
    error_message: str


@dataclasses.dataclass(frozen=True)
class Client:
    """Talks to one server; every failure to reach it is a BundleError that names the address."""

    host: str
    rest_port: int
    grpc_port: int
    timeout_s: float = TIMEOUT_S

    def within(self, timeout_s: float) -> Client:
        """The same client with at most `timeout_s` seconds for an answer."""
        return dataclasses.replace(self, timeout_s=min(self.timeout_s, timeout_s))

    @property
    def rest_url(self) -> str:
        """Address of the REST API."""
        return f"http://{self._host}:{self.rest_port}"

    @property
    def grpc_address(self) -> str:
        """Address of the gRPC API."""
        return f"{self._host}:{self.grpc_port}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def versions(self, model: str) -> list[VersionStatus]:
        """The versions of `model` that the server knows, highest first; empty when it knows none."""
        reply = self._send("GET", f"/v1/models/{model}")
        if reply.status_code == requests.codes.not_found:
            return []
        return self._read(reply, lambda document: [_version(entry) for entry in document["model_version_status"]])

    def available(self, model: str) -> list[int]:
        """The AVAILABLE versions of `model`, highest first."""
        return [entry.version for entry in self.versions(model) if entry.state == "AVAILABLE"]

    def predict(
        self, model: str, signature: str, image: bytes, version: int | None = None, label: str | None = None
    ) -> list[float]:
        """Logits for one encoded image, over REST; of the live version unless one is named."""
        instance = {"b64": base64.b64encode(image).decode("ascii")}
        body = {"signature_name": signature, "instances": [instance]}
        reply = self._send("POST", f"/v1/models/{model}{_chosen(version, label)}:predict", json=body)
        return self._read(reply, lambda document: [float(value) for value in document["predictions"][0]])

    def predict_grpc(
        self, model: str, signature: str, image: bytes, version: int | None = None, label: str | None = None
    ) -> list[float]:
        """Logits for one encoded image, over gRPC; of the live version unless one is named."""
        import grpc
        from tensorflow.core.framework import types_pb2
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        elif label is not None:
            request.model_spec.version_label = label
        tensor = request.inputs["image_bytes_string"]
        tensor.dtype = types_pb2.DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(image)
        no_proxy = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(self.grpc_address, no_proxy) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                reply = stub.Predict(request, timeout=self.timeout_s)
            except grpc.RpcError as error:
                kinds = {grpc.StatusCode.UNAVAILABLE: NothingListens, grpc.StatusCode.DEADLINE_EXCEEDED: NoAnswer}
                kind = kinds.get(error.code(), BundleError)
                raise kind(f"gRPC at {self.grpc_address}: {error.code().name} {error.details()}") from error
        return [float(value) for value in reply.outputs["output_0"].float_val]

    def knows_label(self, model: str, label: str) -> bool:
        """Whether requests to `label` reach a version that is loaded."""
        return self._send("GET", f"/v1/models/{model}/labels/{label}/metadata").ok

    def metrics(self) -> str | None:
        """The page of the server's metrics, None when it reports none."""
        reply = self._send("GET", METRICS_PATH)
        return reply.text if reply.ok else None

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            with requests.Session() as session:
                session.trust_env = False  # A proxy from the environment is for the internet, not for our server.
                return session.request(method, self.rest_url + path, timeout=self.timeout_s, **arguments)
        except requests.Timeout as error:
            raise NoAnswer(
                f"the server at {self.rest_url} did not answer within {self.timeout_s:g} s; is it stuck? Look at: "
                "make logs; then: make restart"
            ) from error
        except requests.ConnectionError as error:
            if _was_refused(error):
                raise NothingListens(f"nothing listens at {self.rest_url}; run: make up") from error
            raise self._hung_up(error) from error
        except requests.RequestException as error:
            raise self._hung_up(error) from error

    def _hung_up(self, error: Exception) -> NoAnswer:
        return NoAnswer(
            f"the server at {self.rest_url} hung up without an answer ({_innermost(error)}); does it end? Look at: "
            "make logs"
        )

    def _read(self, reply: requests.Response, read: Callable[[Any], _T]) -> _T:
        where = f"{reply.request.method} {reply.url}"
        if not reply.ok:
            raise BundleError(f"{where}: {reply.status_code} {reply.text[:500]}")
        try:
            return read(reply.json())
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BundleError(
                f"{where}: found {reply.text[:100]!r}, expected an answer of TensorFlow Serving; "
                "is another program on that port?"
            ) from error


def _was_refused(error: Exception) -> bool:
    """Whether no connection was made at all: refused, no such host, no way there."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _innermost(error: BaseException) -> str:
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return type(error).__name__


def _chosen(version: int | None, label: str | None) -> str:
    if version is not None:
        return f"/versions/{version}"
    return "" if label is None else f"/labels/{label}"


def _version(entry: dict[str, Any]) -> VersionStatus:
    return VersionStatus(
        version=int(entry["version"]),
        state=entry["state"],
        error_code=entry["status"]["error_code"],
        error_message=entry["status"]["error_message"],
    )
