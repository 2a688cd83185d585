"""The gRPC API: PredictionService and ModelService over grpcio."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from serving import handover, metrics, reflection, textproto
from serving.batching.choice import threads_for
from serving.codec.escape import encode
from serving.errors import Code, ServingError, too_many
from serving.flags import Options
from serving.grpc_api import Api
from serving.grpc_pool import CallPool
from serving.manager import Manager

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1024
_CONTROL_THREADS = 16
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_INT32_MAX = 2**31 - 1
# Calls of one connection under way at once: half of the queue; more wait in the client.
_FEWEST_STREAMS = 1000
# Calls under way are not cut off before `close` says so.
_LONG_S = 24 * 3600.0
_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
Behaviour = Callable[[Iterator[bytes], Any], bytes]


def start_grpc(manager: Manager, options: Options) -> GrpcServer:
    """Listen on `options.port` and `options.grpc_socket_path` and answer calls until closed.

    Raises OSError when the port cannot be had, ServingError when the TLS file is broken.
    """
    return GrpcServer(Api(manager, options), options)


class GrpcServer:
    """The gRPC port."""

    def __init__(self, api: Api, options: Options) -> None:
        self._health: Any = None
        silent_s = float(options.http_read_timeout_seconds)
        self._predictions = CallPool(threads_for(options.grpc_max_threads, options), "grpc", silent_s)
        # Status and metadata are to be had when all other threads are taken.
        self._control = CallPool(_CONTROL_THREADS, "grpc-control", silent_s)
        self._server = grpc.server(
            self._predictions,
            handlers=[_Methods(api, self._predictions, self._control, options.max_queued_requests)],
            options=[
                ("grpc.max_receive_message_length", min(options.max_request_body_bytes, _INT32_MAX)),
                ("grpc.max_send_message_length", _INT32_MAX),
                ("grpc.max_concurrent_streams", max(_FEWEST_STREAMS, options.max_queued_requests // 2)),
                *_shared(options),
                *_channel_arguments(options.grpc_channel_arguments),
            ],
        )
        if options.enable_grpc_healthcheck_service:
            self._add_health()
        reflection.enable(self._server, self._control, [(name, kind) for name, kind, _ in _methods(api)])
        self.port = self._bind(options)
        self._server.start()

    @property
    def queued(self) -> int:
        """How many predictions are under way or wait for a thread, but for those without a message."""
        return self._predictions.queued

    def let_go(self) -> None:
        """Nothing: by their age, connections are closed between two calls."""

    @property
    def clients(self) -> int:
        """How many are connected to the port."""
        return handover.connections(self.port)

    def stop_accepting(self) -> None:
        """Refuse new calls; those under way go on."""
        self._server.stop(_LONG_S)

    def close(self, drain_s: float) -> None:
        """Let calls under way finish for at most `drain_s` seconds, then end them."""
        self._server.stop(drain_s).wait(drain_s + 1.0)
        for pool in (self._predictions, self._control):
            pool.shutdown(wait=False)

    def _bind(self, options: Options) -> int:
        port = 0
        credentials = _credentials(options)
        if options.port:
            port = self._listen(f"{_bracketed(options.host)}:{options.port}", credentials)
        if options.grpc_socket_path:
            self._listen(f"unix:{options.grpc_socket_path}", credentials)
        return port

    def _listen(self, address: str, credentials: Any) -> int:
        try:
            if credentials is None:
                port: int = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(98, f"Cannot listen on {address}: {error}") from None
        if not port:
            raise OSError(98, f"Cannot listen on {address}")
        return port

    def _add_health(self) -> None:
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        servicer = health.HealthServicer()
        for name in ("", "ModelService", "PredictionService"):
            servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)


class _Methods(grpc.GenericRpcHandler):
    """Finds the method of a call; unknown ones and unreadable requests fail without a text, as there.

    Predictions get their threads from one pool, of which at most `limit` may be there; all else from `control`.
    """

    def __init__(self, api: Api, predictions: CallPool, control: CallPool, limit: int) -> None:
        self._predictions = predictions
        self._limit = limit
        self._counted = {_PREDICTION + name for name in ("Predict", "Classify", "Regress", "MultiInference")}
        self._handlers: dict[str, Any] = {
            name: _handler(_behaviour(name, kind, method, api, pool), pool)
            for name, kind, method in _methods(api)
            for pool in [predictions if name in self._counted else control]
        }
        self._unknown = _handler(_unimplemented, control)
        self._refused = _handler(_refusal(too_many(limit)), control)

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a method."""
        name = handler_call_details.method
        if name in self._counted and self._predictions.queued >= self._limit:
            return self._refused
        handler = self._handlers.get(name)
        if handler is None and not name.startswith("/grpc."):
            return self._unknown
        return handler


def _handler(behaviour: Behaviour, pool: CallPool) -> Any:
    """The handler of a method that runs in `pool`.

    The methods take one message, yet here they are streams: so the pool sees how long a call waits for its message.
    """
    behaviour = functools.partial(behaviour)
    behaviour.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return grpc.stream_unary_rpc_method_handler(behaviour)


def _methods(api: Api) -> list[tuple[str, Any, Callable[[Any, float | None], Any]]]:
    return [
        (_PREDICTION + "Predict", predict_pb2.PredictRequest, api.predict),
        (_PREDICTION + "Classify", classification_pb2.ClassificationRequest, api.classify),
        (_PREDICTION + "Regress", regression_pb2.RegressionRequest, api.regress),
        (_PREDICTION + "MultiInference", inference_pb2.MultiInferenceRequest, api.multi_inference),
        (
            _PREDICTION + "GetModelMetadata",
            get_model_metadata_pb2.GetModelMetadataRequest,
            api.get_model_metadata,
        ),
        (_MODEL + "GetModelStatus", get_model_status_pb2.GetModelStatusRequest, api.get_model_status),
        (
            _MODEL + "HandleReloadConfigRequest",
            model_management_pb2.ReloadConfigRequest,
            api.handle_reload_config_request,
        ),
    ]


def _behaviour(name: str, kind: Any, method: Callable[[Any, float | None], Any], api: Api, pool: CallPool) -> Behaviour:
    short = name.rpartition("/")[2]
    counted = short if short in ("Predict", "Classify", "Regress") else ""

    def behave(messages: Iterator[bytes], context: Any) -> bytes:
        data = pool.message(messages, context)
        if data is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} takes exactly one message, and none came")
        with pool.working:
            return answer(data, context)

    def answer(data: bytes, context: Any) -> bytes:
        try:
            request = kind.FromString(data)
        except DecodeError:
            context.abort(grpc.StatusCode.INTERNAL, "")
        with _answered(context, counted, lambda: api.known(request.model_spec.name)):
            api.admit(short, context.peer())
            reply: bytes = method(request, context.time_remaining()).SerializeToString()
            return reply
        raise AssertionError("not reached: failures abort the call")

    return behave


@contextmanager
def _answered(context: Any, counted: str, model: Callable[[], str]) -> Iterator[None]:
    """Turn failures into the call's status, and count the call under the name that `model` gives."""
    started = time.monotonic()
    code, message = Code.OK, ""
    try:
        yield
    except ServingError as error:
        code, message = error.code, error.message
    except Exception:
        log.exception("A gRPC call failed")
        code, message = Code.INTERNAL, "Internal error; the server's log says more"
    if counted:
        metrics.request(model(), code.name)
        if code == Code.OK:
            metrics.latency(model(), counted, "GRPC", time.monotonic() - started)
    if code != Code.OK:
        context.abort(_STATUS_CODES[int(code)], _truncated(message))


def _truncated(message: str) -> str:
    data = encode(message)
    if len(data) <= _LONGEST_MESSAGE:
        return data.decode("utf-8", "replace")
    return data[:_LONGEST_MESSAGE].decode("utf-8", "replace") + "...TRUNCATED"


def _unimplemented(_messages: Iterator[bytes], context: Any) -> bytes:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    return b""


def _refusal(error: ServingError) -> Behaviour:
    def refuse(_messages: Iterator[bytes], context: Any) -> bytes:
        metrics.request("", error.code.name)
        context.abort(_STATUS_CODES[int(error.code)], error.message)
        return b""

    return refuse


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shared(options: Options) -> list[tuple[str, int]]:
    """When a server is stopped, gRPC cancels calls that cross its farewell; not when a connection ends by its age."""
    if not options.reuse_port:
        return [("grpc.so_reuseport", 0)]
    return [("grpc.so_reuseport", 1), ("grpc.max_connection_age_ms", handover.CONNECTION_AGE_S * 1000)]


def _channel_arguments(text: str) -> list[tuple[str, int | str]]:
    arguments: list[tuple[str, int | str]] = []
    for pair in filter(None, text.split(",")):
        name, _, value = pair.partition("=")
        try:
            arguments.append((name, int(value)))
        except ValueError:
            arguments.append((name, value))
    return arguments


def _credentials(options: Options) -> Any:
    if not options.ssl_config_file:
        return None
    config = textproto.read(options.ssl_config_file, textproto.SSLConfig)
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
