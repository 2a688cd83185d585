"""Engines that are asked over the network, in the language of TensorFlow Serving's API."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import requests

from bench import generators, payloads
from bench.cases import Case, Model
from bench.engines.base import Address, Engine
from bench.generators import Load
from bench.processes import Started, Tree
from bench.sample import Sample, spending
from bundle.errors import BundleError

_ASK_S = 120.0
_PROBE_S = 2.0
_JSON = {"Content-Type": "application/json"}
_SETTLE_S = 0.1


class NetworkEngine(Engine):
    """A server at an address; `started` is its process when it is ours. `work` is for the files of requests."""

    def __init__(
        self,
        name: str,
        model: Model,
        address: Address,
        work: Path,
        *,
        tree: Tree | None = None,
        started: Started | None = None,
    ) -> None:
        super().__init__(name, model, started.tree if started is not None else tree)
        self.address = address
        self._started = started
        self._work = work

    @property
    def url(self) -> str:
        """The model's status URL."""
        return f"http://{self.address.host}:{self.address.rest_port}/v1/models/{self.model.name}"

    def answers(self, case: Case) -> bool:
        """REST always, gRPC when there is a port for it."""
        return case.is_rest or self.address.grpc_port is not None

    def wait_available(self, deadline_s: float) -> None:
        """Return when a version is AVAILABLE, and note how long that took since the start."""
        assert self._started is not None
        self.start_s = self._started.until(self.is_available, f"{self.name} with {self.model.name}", deadline_s)

    def is_available(self, version: int | None = None) -> bool:
        """Whether `version` (any when None) is AVAILABLE."""
        url = self.url if version is None else f"{self.url}/versions/{version}"
        with contextlib.suppress(requests.RequestException):
            return "AVAILABLE" in requests.get(url, timeout=_PROBE_S).text
        return False

    def ask(self, case: Case) -> list[float]:
        """The logits that it answers to one REST request of `case`; raises BundleError when it does not."""
        try:
            reply = requests.post(f"{self.url}:predict", payloads.body(case), headers=_JSON, timeout=_ASK_S)
        except requests.RequestException as error:
            raise BundleError(f"{self.name} does not answer {case.name} at {self.url}: {error}") from error
        try:
            return [float(value) for value in reply.json()["predictions"][0]]
        except (ValueError, LookupError, TypeError):
            said = f"{reply.status_code} {reply.text[:300]}"
            raise BundleError(f"{self.name} answers {case.name} at {self.url} with {said}") from None

    def load(self, case: Case) -> Load:
        """What is sent to it in `case`."""
        request = self._work / f"{case.model.name}-{case.payload}.request"
        if not request.exists():
            request.write_bytes(payloads.body(case))
        path = f"/v1/models/{self.model.name}:predict" if case.is_rest else payloads.PREDICT_METHOD
        port = self.address.rest_port if case.is_rest else self.address.grpc_port
        assert port is not None
        return Load(self.address.host, port, path, request, case.clients, case.is_rest)

    def warm_up(self, case: Case) -> float:
        """Load it for a moment; returns roughly how many answers per second it gives."""
        return generators.warm_up(self.load(case))

    def measure(self, case: Case, seconds: float, generator: str) -> Sample:
        """One slice of load."""
        run = generators.run_wrk if generator == generators.WRK else generators.run_own
        with spending(self.tree) as spent:
            measured = run(self.load(case), seconds)
        # wrk leaves without its last answers; they are not to be computed in somebody else's slice.
        time.sleep(_SETTLE_S if generator == generators.WRK else 0.0)
        engine, generated, others = spent.shares(measured.generator_cpu_s)
        return Sample(
            rate=measured.rate,
            p50_ms=measured.p50_ms,
            p99_ms=measured.p99_ms,
            cpu_s_per_1000=spent.per_1000(measured.answers),
            engine_share=engine,
            generator_share=generated,
            others_share=others,
            answers=measured.answers,
            failed=measured.failed,
        )

    def close(self) -> None:
        """End its process when it is ours; let it run on when it is not."""
        if self._started is not None:
            self._started.close()
        else:
            self.resume()
