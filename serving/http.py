"""The REST server: an event loop in a thread of its own for the connections, a pool of threads for the answers."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from serving import forkserver, memory, textproto
from serving.batching.choice import threads_for
from serving.codec import gzipped
from serving.codec.fast import Doubt
from serving.connection import Connection
from serving.errors import too_many
from serving.fair import FairPool, Turns
from serving.flags import Options
from serving.hosts import AllowedHosts
from serving.large import LargeBody
from serving.limits import Limits
from serving.manager import Manager
from serving.message import Request, Response
from serving.places import Bodies, Places
from serving.process import most_open_files
from serving.rest import Body, RestApp, timeout_s

log = logging.getLogger(__name__)

_DEFAULT_METRICS_PATH = "/monitoring/prometheus/metrics"
_BACKLOG = 1024
_SWEEP_S = 1.0
# What is parsed in the event loop itself, which takes less than handing it over, or in a worker whatever is in it.
_SMALL_BODY = 64 << 10
# Freeing a body of this size holds up the event loop for less than a millisecond.
_FREED_AT_ONCE = 4 << 20
# Beginning a prediction takes a tenth of a millisecond.
_AT_ONCE = 32
_CONTROL_THREADS = 4
# All connections together hold so many bytes of small bodies, and so many bodies of the largest size.
_SMALL_BODIES = 256 << 20
_LARGE_BODIES = 4
# To a client that is gone.
_NOBODY = Response(499, b"")


def start_rest(manager: Manager, options: Options) -> RestServer:
    """Listen on `options.rest_api_port` (0: any free one) and answer requests until closed.

    Raises OSError when the port cannot be had, ServingError when the monitoring file is broken.
    """
    app = RestApp(manager, options, _metrics_path(options))
    listener = listen(options.host, options.rest_api_port, options.reuse_port)
    return RestServer(app, listener, options)


class RestServer:
    """The listening port with its connections and workers; `queued` predictions are not answered yet."""

    def __init__(self, app: RestApp, listener: socket.socket, options: Options) -> None:
        self.port: int = listener.getsockname()[1]
        self.connections: set[Connection] = set()
        self.max_body_bytes = options.max_request_body_bytes
        # Half of what can be open is left for gRPC and for files.
        self.places = Places(min(options.max_connections, most_open_files() // 2))
        self.bodies = Bodies(_SMALL_BODIES, _LARGE_BODIES * self.max_body_bytes)
        self.hosts = AllowedHosts(options.allowed_hosts)
        self.read_timeout_s = float(options.http_read_timeout_seconds)
        self._app = app
        self._stopping = threading.Event()
        self._timeout_s = timeout_s(options)
        threads = max(1, options.rest_api_num_threads)
        self._workers = FairPool(threads, "rest", max(1, threads // 2))
        # These wait for a batch, or are answered from the first to the last in one thread.
        self._waiters = FairPool(threads_for(options.rest_api_num_threads, options), "rest-waiting")
        # Status and metrics are to be had when all workers are taken.
        self._control = FairPool(_CONTROL_THREADS, "rest-control")
        # These wait for processes that read large requests and write large answers.
        self._large = FairPool(forkserver.CALLS, "rest-large")
        self._calls: deque[Callable[[], object]] = deque()
        self._called = False
        self._runs: list[tuple[str, Callable[[], object]]] = []
        # How many predictions were begun since connections were looked at, and those that came beyond that.
        self._begun = 0
        self._arrived = Turns()
        self.queued = 0
        self._max_queued = options.max_queued_requests
        self._loop = _new_loop()
        self._limits = Limits(self._loop.call_later, timeout_s(options) or 0.0)
        self._server: asyncio.base_events.Server | None = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="rest-loop", daemon=True)
        self._thread.start()
        started.wait()

    @property
    def stopping(self) -> bool:
        """Whether connections are to be closed when they have nothing to do."""
        return self._stopping.is_set()

    def answer(self, request: Request, deliver: Callable[[Response], None]) -> None:
        """Answer `request`; `deliver` is called in the event loop, later."""
        if request.method != "POST":
            self._control.submit(request.client, self._answer_with, b"", request, deliver)
        elif self.queued >= self._max_queued:
            self.call(deliver, self._app.refuse(too_many(self._max_queued)))
        else:
            self.queued += 1
            self._begin_in_turn(request, partial(self._end_counted, deliver))

    def discard(self, client: str, body: bytes | bytearray, held: int) -> None:
        """Free a body that nobody has been given, then its `held` bytes; the caller keeps no reference to it."""
        if isinstance(body, bytearray) and len(body) > _FREED_AT_ONCE:
            self._control.submit(client, self._discard_large, client, body, held)
        else:
            self.bodies.free(client, held)

    def _discard_large(self, client: str, body: bytearray, held: int) -> None:
        memory.discard(body)
        self.call(self.bodies.free, client, held)

    def _begin_in_turn(self, request: Request, deliver: Callable[[Response], None]) -> None:
        """Begin at once; or in the turn of its client, when so much has arrived that it would hold up the loop."""
        if not self._begun:
            self._loop.call_soon(self._next_turn)
        if self._begun < _AT_ONCE:
            self._begun += 1
            self._begin(request, deliver)
        else:
            self._arrived.put(request.client, partial(self._begin, request, deliver))

    def _next_turn(self) -> None:
        waiting = (self._arrived.take() for _ in range(_AT_ONCE))
        begins = [begin for begin in waiting if begin is not None]
        self._begun = len(begins)
        if begins:
            self._loop.call_soon(self._next_turn)
        for begin in begins:
            begin()

    def _begin(self, request: Request, deliver: Callable[[Response], None]) -> None:
        size = len(request.body)
        if request.gzip:
            self._waiters.submit(request.client, self._answer_packed, request, deliver)
        elif size > _SMALL_BODY:
            self._waiters.submit(request.client, self._answer_quickly, request, deliver)
        elif not self._app.begin(
            request.method, request.target, bytes(request.body), _Share(self, request.client), deliver
        ):
            self._waiters.submit(request.client, self._answer, request, deliver)

    def _end_counted(self, deliver: Callable[[Response], None], response: Response) -> None:
        self.queued -= 1
        deliver(response)

    def run(self, client: str, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in a worker, when what has arrived is read, so that it can share the run; from the loop."""
        if not self._runs:
            self._loop.call_soon(self._hand_over)
        self._runs.append((client, partial(function, *arguments)))

    def _hand_over(self) -> None:
        runs, self._runs = self._runs, []
        for client, run in runs:
            self._workers.submit(client, run)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in the event loop; from any thread."""
        self._calls.append(partial(function, *arguments))
        if self._called:
            return
        self._called = True  # The answers of a batch wake the loop once.
        try:
            self._loop.call_soon_threadsafe(self._make_calls)
        except RuntimeError:  # the loop has ended, and with it every connection that could want this
            log.debug("The REST loop has ended")

    def _make_calls(self) -> None:
        self._called = False
        for _ in range(len(self._calls)):
            call = self._calls.popleft()
            try:
                call()
            except Exception:
                log.exception("A call in the REST loop failed")

    def let_go(self) -> None:
        """Close each connection behind its next answer, so that no client asks on one that is being closed."""
        self._stopping.set()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self.connections)

    def stop_accepting(self) -> None:
        """Take no new connections, and close those that are idle; requests under way go on."""
        self._stopping.set()
        self.call(self._stop_listening)

    def close(self, drain_s: float) -> None:
        """Let requests under way finish for at most `drain_s` seconds, then end all connections."""
        self.stop_accepting()
        deadline = time.monotonic() + drain_s
        while self.connections and time.monotonic() < deadline:
            time.sleep(0.02)
        self.call(self._loop.stop)
        self._thread.join(1.0)
        for pool in (self._workers, self._waiters, self._control, self._large):
            pool.shutdown()

    def _answer(self, request: Request, deliver: Callable[[Response], None]) -> None:
        self._answer_with(bytes(request.taken()), request, deliver)

    def _answer_packed(self, request: Request, deliver: Callable[[Response], None]) -> None:
        """Answer a request that is compressed, and may be a large one."""
        if gzipped.is_longer(request.body, _SMALL_BODY):
            self._answer_large(request, deliver)
        else:
            self._answer_with(gzipped.inflate(request.taken()), request, deliver)

    def _answer_quickly(self, request: Request, deliver: Callable[[Response], None]) -> None:
        """Answer a large request, in this thread if it can be read quickly."""
        body = LargeBody(request.body, request.gzip, self._timeout_s, quickly=True)
        try:
            self._answer_with(body, request, deliver)
        except Doubt:
            self._answer_large(request, deliver)

    def _answer_large(self, request: Request, deliver: Callable[[Response], None]) -> None:
        body = LargeBody(request.taken(), request.gzip, self._timeout_s)
        self._large.submit(request.client, self._answer_with, body, request, deliver)

    def _answer_with(self, body: Body, request: Request, deliver: Callable[[Response], None]) -> None:
        """Answer a request, unless its client is gone."""
        if request.abandoned:
            self.call(deliver, _NOBODY)
        else:
            self.call(deliver, self._app.answer(request.method, request.target, request.origin, body))

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.shut_down()

    def _run(self, listener: socket.socket, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: Connection(self), sock=listener, backlog=_BACKLOG)
        )
        self._loop.call_soon(started.set)
        self._loop.call_later(_SWEEP_S, self._sweep)
        self._loop.run_forever()
        for connection in list(self.connections):
            connection.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list(self.connections):
            connection.check_time(now)
        self._loop.call_later(_SWEEP_S, self._sweep)


class _Share:
    """The server's threads as one client has them."""

    __slots__ = ("_client", "_server")

    def __init__(self, server: RestServer, client: str) -> None:
        self._server = server
        self._client = client

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in a worker, when what has arrived is read, so that it can share the run; from the loop."""
        self._server.run(self._client, function, *arguments)

    def submit_large(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in one of the few threads for what takes long."""
        self._server._large.submit(self._client, function, *arguments)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Run a function in the event loop; from any thread."""
        self._server.call(function, *arguments)

    def watch(self, expire: Callable[[], None]) -> int:
        """Call `expire` when the time of a request that begins now is over; returns the key to `unwatch` it by."""
        return self._server._limits.add(expire)

    def unwatch(self, key: int) -> None:
        """Do not call it, if it was not called before."""
        self._server._limits.remove(key)


def _metrics_path(options: Options) -> str | None:
    if not options.monitoring_config_file:
        return None
    config = textproto.read(options.monitoring_config_file, textproto.MonitoringConfig)
    prometheus: Any = config.prometheus_config
    return (prometheus.path or _DEFAULT_METRICS_PATH) if prometheus.enable else None


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """A listening socket, which others may share; raises OSError when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
