"""Running a load generator against an address and reading what it measured."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.load.recording import Order
from bench.statistics import Requests
from bundle.errors import BundleError

WRK = "wrk"
OWN = "own"

_LUA = Path(__file__).parent / "load" / "wrk.lua"
_LEAD_S = 0.3
_WARM_UP_S = 0.5
_CYCLES = 2
_TIMEOUT_S = 60.0
_GRACE_S = 90.0


@dataclasses.dataclass(frozen=True)
class Load:
    """What is sent where: a request in a file, by so many clients. `path` is the URL's path or the gRPC method."""

    host: str
    port: int
    path: str
    request: Path
    clients: int
    is_rest: bool


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run of a generator gives. `answers` are all it got, also before and after the counted stretch."""

    rate: float
    p50_ms: float
    p99_ms: float
    answers: int
    failed: int
    generator_cpu_s: float


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which(WRK) is not None


def warm_up(load: Load, deadline_s: float = _TIMEOUT_S) -> float:
    """Keep the clients busy for a moment; returns roughly how many answers per second there were."""
    with own(load, _WARM_UP_S, load.clients, deadline_s) as running:
        requests, _ = running.result()
    if not requests.answered.any():
        raise BundleError(
            f"none of {len(requests.answered)} requests to {load.host}:{load.port}{load.path} was answered"
        )
    took_s = float(requests.ended[-1] - requests.began[0])
    return int(requests.answered.sum()) / took_s


def run_own(load: Load, seconds: float) -> Measured:
    """Our own generator: a short lead that is not counted, then `seconds`, or longer until everybody had some turns."""
    with own(load, _LEAD_S + seconds, (_CYCLES + 1) * load.clients + 1) as running:
        requests, cpu_s = running.result()
    # The lead ends when each client has had its first answer, which may have waited for connections and caches.
    ends = requests.ended[requests.answered]
    first = ends[load.clients - 1] if len(ends) >= load.clients else math.inf
    last = requests.began.max(initial=0.0)
    counted = requests.between(max(requests.began.min(initial=math.inf) + _LEAD_S, first), max(last, first))
    if math.isnan(counted.rate(load.clients)):
        counted = requests
    return Measured(
        rate=counted.rate(load.clients),
        p50_ms=counted.latency_ms(50),
        p99_ms=counted.latency_ms(99),
        answers=int(requests.answered.sum()),
        failed=requests.failed,
        generator_cpu_s=cpu_s,
    )


def run_wrk(load: Load, seconds: float) -> Measured:
    """Wrk with one thread, for whole seconds."""
    url = f"http://{load.host}:{load.port}{load.path}"
    options = ["-t1", f"-c{load.clients}", f"-d{max(1, round(seconds))}s", f"--timeout={_TIMEOUT_S:g}s", "--latency"]
    before = _children_cpu_s()
    done = subprocess.run(
        [WRK, *options, "-s", str(_LUA), url, "--", str(load.request)], capture_output=True, text=True, check=False
    )
    cpu_s = _children_cpu_s() - before
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise BundleError(f"wrk failed with status {done.returncode}: {done.stderr or done.stdout}")
    told = json.loads(lines[-1])
    return Measured(
        rate=told["answers"] / told["duration_us"] * 1e6,
        p50_ms=told["p50_us"] / 1e3,
        p99_ms=told["p99_us"] / 1e3,
        answers=told["answers"],
        failed=told["failed"] + told["refused"],
        generator_cpu_s=cpu_s,
    )


class Running:
    """Our own generator at work."""

    def __init__(self, process: subprocess.Popen[str], samples: Path, timeout_s: float) -> None:
        self._process = process
        self._samples = samples
        self._timeout_s = timeout_s

    def stop(self) -> None:
        """Send no more requests; those under way are waited for."""
        self._process.terminate()

    def result(self) -> tuple[Requests, float]:
        """Every request, and the generator's CPU seconds, once it has ended; raises BundleError when it failed."""
        try:
            out, problem = self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired:
            raise BundleError(f"the server left requests unanswered for {self._timeout_s:g} s") from None
        if self._process.returncode != 0:
            raise BundleError(f"the load generator failed: {problem[-1000:]}")
        summary = json.loads(out)
        if summary["problem"]:
            raise BundleError(str(summary["problem"]))
        return Requests.read(self._samples), float(summary["cpu_s"])


@contextlib.contextmanager
def own(load: Load, seconds: float, answers: int = 0, more_s: float = _TIMEOUT_S) -> Iterator[Running]:
    """Our own generator in the background, for `seconds`, and up to `more_s` more until there are `answers`.

    It is killed at the end of the block if it still runs.
    """
    deadline_s = seconds + more_s
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".samples") as samples:
        order = Order(
            host=load.host,
            port=load.port,
            path=load.path,
            request=str(load.request),
            clients=load.clients,
            seconds=seconds,
            answers=answers,
            deadline_s=deadline_s,
            samples=samples.name,
        )
        module = "bench.load.rest" if load.is_rest else "bench.load.rpc"
        process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(dataclasses.asdict(order))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield Running(process, Path(samples.name), deadline_s + _GRACE_S)
        finally:
            process.kill()
            process.communicate()


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
