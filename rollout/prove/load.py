"""Constant load: threads that send held-out images over REST and gRPC and trace every answer to a version."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import requests

from rollout.client import Client
from rollout.prove.candidates import SIGNATURES, Answers, Question

TIMEOUT_S = 60.0
_TOLERANCE = 2e-3
_FAILED = "failed"
_UNKNOWN = "unknown"

Known = Mapping[str, Mapping[str, Answers]]
"""Version to signature to its answers."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One request: seconds since the day began, how long it took, and which version answered or why none did."""

    at_s: float
    took_s: float
    kind: str
    version: str
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether it got no answer, or one of no version."""
        return self.version in (_FAILED, _UNKNOWN)


@dataclasses.dataclass(frozen=True)
class _Way:
    """One protocol and signature, with what it answers for image number n."""

    kind: str
    signature: str
    ask: Callable[[int], Sequence[float]]


class Load:
    """Sends about `per_second` requests with each of four ways, from `start` to `stop`, but for pauses."""

    def __init__(self, client: Client, model: str, asked: list[Question], known: Known, per_second: float) -> None:
        self.answers: list[Answer] = []
        self._client = client
        self._model = model
        self._asked = asked
        self._known = known
        self._pause_s = 1 / per_second
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def now_s(self) -> float:
        """Seconds since the day began."""
        return time.monotonic() - self._began

    def start(self) -> None:
        """Begin to send."""
        for signature in SIGNATURES:
            for way in (self._over_rest(signature, ""), self._over_grpc(signature)):
                self._begin(way, self._stopping)

    def stop(self) -> None:
        """Wait for the last answers."""
        self._stopping.set()
        self._going.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Send nothing for as long as the block runs: a planned restart, with its clients held back."""
        self._going.clear()
        for _ in self._threads:
            self._idle.acquire()
        try:
            yield
        finally:
            self._going.set()

    @contextlib.contextmanager
    def to_label(self, label: str) -> Iterator[None]:
        """Send to a label as well, for as long as the block runs."""
        ending = threading.Event()
        thread = self._begin(self._over_rest("serving_bytes", label), ending)
        try:
            yield
        finally:
            ending.set()
            thread.join()
            self._threads.remove(thread)

    def _begin(self, way: _Way, ending: threading.Event) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(way, ending))
        self._threads.append(thread)
        thread.start()
        return thread

    def _run(self, way: _Way, ending: threading.Event) -> None:
        turn = 0
        due = time.monotonic()
        while not ending.is_set():
            if not self._going.is_set():
                self._idle.release()
                self._going.wait()
                due = time.monotonic()
            self.answers.append(self._once(way, turn % len(self._asked)))
            turn += 1
            due = max(due + self._pause_s, time.monotonic())
            ending.wait(due - time.monotonic())

    def _once(self, way: _Way, image: int) -> Answer:
        began = time.monotonic()
        try:
            logits = np.asarray(way.ask(image), np.float32)
            version, problem = self._version_of(way.signature, image, logits), ""
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a request that failed
            version, problem = _FAILED, f"{type(error).__name__}: {error}"[:300]
        ended = time.monotonic()
        return Answer(began - self._began, ended - began, way.kind, version, problem)

    def _version_of(self, signature: str, image: int, logits: Answers) -> str:
        for version, answers in self._known.items():
            expected = answers[signature][image]
            if logits.shape == expected.shape and np.abs(logits - expected).max() < _TOLERANCE:
                return version
        return _UNKNOWN

    def _over_rest(self, signature: str, label: str) -> _Way:
        session = requests.Session()
        session.trust_env = False
        part = f"/labels/{label}" if label else ""
        url = f"{self._client.rest_url}/v1/models/{self._model}{part}:predict"
        bodies = [json.dumps(_body(signature, question)) for question in self._asked]

        def ask(image: int) -> Sequence[float]:
            reply = session.post(url, data=bodies[image], timeout=TIMEOUT_S)
            if not reply.ok:
                raise RuntimeError(f"{reply.status_code} {reply.text}")
            logits: list[float] = reply.json()["predictions"][0]
            return logits

        return _Way(f"REST {label or signature}", signature, ask)

    def _over_grpc(self, signature: str) -> _Way:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        channel = grpc.insecure_channel(self._client.grpc_address, [("grpc.enable_http_proxy", 0)])
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        requests_ = [_request(predict_pb2.PredictRequest(), self._model, signature, each) for each in self._asked]

        def ask(image: int) -> Sequence[float]:
            reply = stub.Predict(requests_[image], timeout=TIMEOUT_S)
            return list(reply.outputs["output_0"].float_val)

        return _Way(f"gRPC {signature}", signature, ask)


def _body(signature: str, question: Question) -> dict[str, Any]:
    if signature == "serving_bytes":
        instance: Any = {"b64": base64.b64encode(question.encoded).decode("ascii")}
    else:
        instance = question.pixels.tolist()
    return {"signature_name": signature, "instances": [instance]}


def _request(request: Any, model: str, signature: str, question: Question) -> Any:
    import tensorflow as tf

    request.model_spec.name = model
    request.model_spec.signature_name = signature
    value = [question.encoded] if signature == "serving_bytes" else question.pixels[np.newaxis]
    request.inputs[SIGNATURES[signature]].CopyFrom(tf.make_tensor_proto(value))
    return request
