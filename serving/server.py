"""The running server: models first, then the ports; at the end the other way round."""

from __future__ import annotations

import gc
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from serving import handover
from serving.flags import Options
from serving.manager import Manager
from serving.polling import ConfigPoller, DiskPoller
from serving.startup import port_error

log = logging.getLogger(__name__)

_LOOK_S = 0.1


class Front(Protocol):
    """What takes requests from the network."""

    @property
    def port(self) -> int:
        """The TCP port; 0 when there is none."""

    @property
    def clients(self) -> int:
        """How many are connected."""

    def let_go(self) -> None:
        """Have each connection end by itself, between two requests."""

    def stop_accepting(self) -> None:
        """Take no new connections."""

    def close(self, drain_s: float) -> None:
        """Let running requests finish for at most `drain_s` seconds, then end."""


class Server:
    """A manager with its pollers and its fronts. To be started and stopped once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._manager = Manager(options)
        self._disk = DiskPoller(self._manager, options.file_system_poll_wait_seconds)
        self._config = ConfigPoller(
            self._manager, options.model_config_file, options.model_config_file_poll_wait_seconds
        )
        self._fronts: list[Front] = []

    def load(self, config: Any, stop: threading.Event) -> bool:
        """Load what `config` lists until requests can be answered; False when `stop` was set before that.

        Raises ServingError when it is certain that there is nothing to serve.
        """
        self._manager.apply(config)
        self._disk.start()
        return self._wait_until_ready(stop)

    def open(self) -> None:
        """Take requests; raises ServingError when a port cannot be had."""
        from serving.grpc_service import start_grpc
        from serving.http import start_rest

        # What was made up to here lives as long as the server: looking at it again at each collection would
        # only make requests wait.
        gc.collect()
        gc.freeze()
        self._open_grpc(start_grpc)
        self._open_rest(start_rest)
        for front in self._fronts:
            handover.take_new_connections(front.port)
        self._config.start()

    def hand_over(self, hurry: threading.Event) -> None:
        """Wait until no client is connected any more; each is answered until then. `hurry` ends the waiting."""
        deadline = time.monotonic() + handover.LONGEST_S
        for front in self._fronts:
            front.let_go()
        while any(front.clients for front in self._fronts) and time.monotonic() < deadline:
            if hurry.wait(_LOOK_S):
                return

    def stop(self, drain_s: float) -> int:
        """Take no new requests, wait for the running ones, unload; returns how many were cut off."""
        deadline = time.monotonic() + drain_s
        self._config.stop()
        self._disk.stop()
        self._manager.stop_changing()
        for front in self._fronts:
            front.stop_accepting()
        with ThreadPoolExecutor(len(self._fronts) or 1) as pool:
            list(pool.map(lambda front: front.close(max(0.0, deadline - time.monotonic())), self._fronts))
        return self._manager.shutdown(max(0.0, deadline - time.monotonic()))

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now."""
        return self._manager.in_flight()

    def _wait_until_ready(self, stop: threading.Event) -> bool:
        told = time.monotonic()
        while not self._manager.ready():
            if stop.is_set():
                return False
            self._manager.wait_for_change(0.1)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                log.warning("Still waiting for a first version to serve; the ports stay closed until then")
        return not stop.is_set()

    def _open_grpc(self, start_grpc: Any) -> None:
        options = self._options
        try:
            self._fronts.append(start_grpc(self._manager, options))
        except OSError as error:
            raise port_error("port", options.host, options.port, error) from None
        if options.port:
            log.info("Running gRPC ModelServer at %s:%d ...", options.host, options.port)
        if options.grpc_socket_path:
            log.info("Running gRPC ModelServer at UNIX socket %s ...", options.grpc_socket_path)

    def _open_rest(self, start_rest: Any) -> None:
        options = self._options
        if not options.rest_api_port:
            return
        if options.rest_api_port == options.port:
            log.error(
                "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST"
                " API. Skipped exporting HTTP/REST API."
            )
            return
        try:
            self._fronts.append(start_rest(self._manager, options))
        except OSError as error:
            raise port_error("rest_api_port", options.host, options.rest_api_port, error) from None
        log.info("Exporting HTTP/REST API at:%s:%d ...", options.host, options.rest_api_port)
