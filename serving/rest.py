"""The REST API: from a raw request target and a body to a status, a content type and a body."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from serving import documents, exposition, inference, metrics, prediction
from serving.codec import examples, reply
from serving.codec.escape import decode, encode
from serving.codec.fast import Doubt
from serving.errors import Code, ServingError, invalid
from serving.flags import Options
from serving.large import LargeBody, deadline_of, left_s
from serving.manager import Manager
from serving.message import JSON, Response, html_error
from serving.prediction import RestThreads

log = logging.getLogger(__name__)

_API = re.compile(r"/v1/.*", re.IGNORECASE)
_POST = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
_GET = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
_HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
_LARGEST_VERSION = 2**63 - 1
# Clients choose the targets, so that only short ones are remembered.
_SHORT_TARGET = 512

CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)

Body = bytes | LargeBody


@dataclass(frozen=True)
class _Target:
    """Which model a target names, and what for."""

    model: str
    version: int | None
    label: str | None
    action: str


@dataclass
class _Outcome:
    """What the metrics are told about a request."""

    model: str = ""
    api: str = ""
    code: Code = Code.OK
    started: float = field(default_factory=time.monotonic)

    def record(self) -> None:
        metrics.request(self.model, self.code.name)
        if self.code == Code.OK:
            metrics.latency(self.model, self.api, "REST", time.monotonic() - self.started)


def timeout_s(options: Options) -> float | None:
    """The time that a request has, if it is limited."""
    timeout_ms = options.rest_api_timeout_in_ms
    return timeout_ms / 1000 if timeout_ms > 0 else None


class RestApp:
    """Answers requests, one at a time per calling thread."""

    def __init__(self, manager: Manager, options: Options, metrics_path: str | None = None) -> None:
        self._manager = manager
        self._cors = CORS if options.rest_api_enable_cors_support else ()
        self._metrics_path = metrics_path
        self._timeout_s = timeout_s(options)
        self._actions: dict[str, Callable[[_Target, Body], bytes | memoryview]] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
            "metadata": self._metadata,
            "status": self._status,
        }

    def answer(self, method: str, target: str, origin: str | None, body: Body) -> Response:
        """Answer one request; `target` is as sent, and whatever happens becomes a response.

        Raises Doubt, with nothing done, for a body that was to be read quickly and takes longer.
        """
        if method == "HEAD":  # The connection leaves the body out.
            method = "GET"
        if self._metrics_path is not None and re.split(r"[?#]", target)[0] == self._metrics_path:
            return self._metrics(target)
        if _API.fullmatch(target) is None:
            return html_error(404, "Not Found")
        if method == "OPTIONS":
            metrics.request("", Code.OK.name)
            allowed = origin is not None and ("http://" in origin or "https://" in origin)
            return Response(200 if allowed else 400, b"", "text/html; charset=ISO-8859-1", self._cors)
        outcome = _Outcome()
        try:
            result: prediction.Result = self._dispatch(method, target, body, outcome)
        except Doubt:
            raise
        except Exception as error:  # noqa: BLE001 - an answer is made of it, and a log entry if it is unexpected
            result = error
        return self._response(method, target, outcome, result)

    def begin(
        self, method: str, target: str, body: bytes, threads: RestThreads, deliver: Callable[[Response], None]
    ) -> bool:
        """Answer a prediction without a thread that waits; False, and nothing done, for all that may take long.

        To be called in the event loop, in which `deliver` is called later.
        """
        if method != "POST" or not target.endswith(":predict") or target == self._metrics_path:
            return False
        outcome = _Outcome(api="predict")

        def done(result: prediction.Result) -> None:
            deliver(self._response(method, target, outcome, result))

        try:
            wanted = _parse_target(method, target)
            if wanted is None:
                return False
            outcome.model = wanted.model
            lease = self._manager.acquire(wanted.model, wanted.version, wanted.label)
            steps = prediction.steps(lease, body, deadline_of(self._timeout_s), quickly=True)
            prediction.start(steps, wanted.model, self._timeout_s, threads, done)
        except Doubt:
            return False
        except Exception as error:  # noqa: BLE001 - as in `answer`
            threads.call(done, error)
        return True

    def refuse(self, error: ServingError) -> Response:
        """The response to a request that was not looked at because of `error`."""
        return self._response("", "", _Outcome(), error)

    def _response(self, method: str, target: str, outcome: _Outcome, result: prediction.Result) -> Response:
        """The response with the body, or with the error, that a request led to."""
        content: bytes | memoryview
        if isinstance(result, bytes | memoryview):
            content = result
        elif isinstance(result, ServingError):
            outcome.code = result.code
            content = reply.error(result.message)
        elif isinstance(result, _BadVersion):
            outcome.code, content = Code.INVALID_ARGUMENT, b""
        else:
            log.error("Answering %s %s failed", method, target, exc_info=result)
            outcome.code = Code.INTERNAL
            content = reply.error("Internal error; the server's log says more")
        outcome.model = self._manager.known(outcome.model)
        outcome.record()
        return Response(_HTTP_STATUS.get(outcome.code, 500), content, JSON, self._cors)

    def _dispatch(self, method: str, target: str, body: Body, outcome: _Outcome) -> bytes | memoryview:
        wanted = _parse_target(method, target)
        if wanted is None:
            raise invalid(f"Malformed request: {method} {target}")
        outcome.model = wanted.model
        outcome.api = wanted.action if method == "POST" else ""
        return self._actions[wanted.action](wanted, body)

    def _predict(self, target: _Target, body: Body) -> bytes | memoryview:
        lease = self._manager.acquire(target.model, target.version, target.label)
        deadline = self._deadline(body)
        return prediction.wait(prediction.steps(lease, body, deadline), target.model, deadline)

    def _classify(self, target: _Target, body: Body) -> bytes:
        deadline = self._deadline(body)
        name, request = _examples(body)
        with self._manager.acquire(target.model, target.version, target.label) as handle:
            classes = inference.classify(target.model, handle.servable, name, request, left_s(deadline))
        return reply.classifications(classes)

    def _regress(self, target: _Target, body: Body) -> bytes:
        deadline = self._deadline(body)
        name, request = _examples(body)
        with self._manager.acquire(target.model, target.version, target.label) as handle:
            values = inference.regress(target.model, handle.servable, name, request, left_s(deadline))
        return reply.regressions(values)

    def _deadline(self, body: Body) -> float | None:
        return body.deadline if isinstance(body, LargeBody) else deadline_of(self._timeout_s)

    def _metadata(self, target: _Target, _body: Body) -> bytes:
        _require_name(target)
        with self._manager.acquire(target.model, target.version, target.label) as handle:
            return documents.metadata(handle.model, handle.version, handle.servable.signatures)

    def _status(self, target: _Target, _body: Body) -> bytes:
        _require_name(target)
        return documents.status(self._manager.status(target.model, target.version))

    def _metrics(self, target: str) -> Response:
        if target != self._metrics_path:
            text = f"Unexpected path: {target}. Should be {self._metrics_path}"
            return Response(400, encode(text), "text/plain")
        return Response(200, exposition.page(metrics.REGISTRY), "text/plain")


class _BadVersion(Exception):
    """A version number beyond 64 bits, which the real server answers with an empty body."""


def _examples(body: Body) -> tuple[str, Any]:
    return body.examples() if isinstance(body, LargeBody) else examples.from_json(body)


def _parse_target(method: str, target: str) -> _Target | None:
    return (_remembered if len(target) <= _SHORT_TARGET else _parsed)(method, target)


def _parsed(method: str, target: str) -> _Target | None:
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern else None
    if match is None:
        return None
    model, version, label, action = match.groups()
    if method == "POST" and action not in ("classify", "regress", "predict"):
        return None
    if method == "GET":
        action = "metadata" if action == "metadata" else "status"
    number = None if version is None else _version(version)
    return _Target(
        "" if model is None else _unescape(model), number, None if label is None else _unescape(label), action
    )


_remembered = lru_cache(1024)(_parsed)


def _version(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > _LARGEST_VERSION:
        raise _BadVersion
    return int(digits)


def _unescape(text: str) -> str:
    return decode(unquote_to_bytes(text.encode("latin-1")))


def _require_name(target: _Target) -> None:
    if not target.model:
        raise invalid("Missing model name in request.")
