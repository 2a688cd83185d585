"""Checks of the flags against each other and of the files they name, in the real server's order and words."""

from __future__ import annotations

import errno
import socket
from typing import Any

from serving import reloads, sandbox, textproto
from serving.batching import parameters
from serving.config import from_options
from serving.errors import Code, ServingError, invalid
from serving.flags import Options


def check(options: Options) -> Any:
    """Return the ModelServerConfig to start with; raises ServingError for what the server cannot start with.

    It starts no thread and imports nothing that does: the sandbox is entered after it.
    """
    if not options.port and not options.grpc_socket_path:
        raise invalid("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    if options.use_alts_credentials and options.ssl_config_file:
        raise invalid("Either use_alts_credentials must be false or ssl_config_file must be empty.")
    config = from_options(options)
    _check_batching(options)
    _check_parallelism(options)
    reloads.check(options)
    sandbox.check(options)
    if options.ssl_config_file:
        textproto.read(options.ssl_config_file, textproto.SSLConfig)
    if options.monitoring_config_file:
        textproto.read(options.monitoring_config_file, textproto.MonitoringConfig)
    return config


def check_ports(options: Options) -> None:
    """Refuse ports that another process holds, before any time goes into loading models."""
    for flag, port in (("port", options.port), ("rest_api_port", options.rest_api_port)):
        if port:
            _check_port(flag, options.host, port, options.reuse_port)


def port_error(flag: str, host: str, port: int, error: OSError) -> ServingError:
    """Say why a port cannot be listened on, and what to do."""
    if error.errno == errno.EADDRINUSE:
        reason = "is already in use: stop the process that holds it, or choose another port"
    else:
        reason = f"cannot be listened on ({error.strerror or error})"
    return ServingError(Code.UNAVAILABLE, f"Port {port} on {host} (--{flag}) {reason}")


def _check_port(flag: str, host: str, port: int, shared: bool) -> None:
    if not 0 < port < 2**16:
        raise invalid(f"--{flag}={port} is not a port; expected a number from 0 (off) to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            raise port_error(flag, host, port, error) from None


def _check_parallelism(options: Options) -> None:
    """Refuse thread counts that contradict each other."""
    apart = options.tensorflow_intra_op_parallelism or options.tensorflow_inter_op_parallelism
    if options.tensorflow_session_parallelism and apart:
        raise invalid(
            "Either configure server_options.tensorflow_session_parallelism or"
            " (server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism)"
            " separately. You cannot configure all."
        )


def _check_batching(options: Options) -> None:
    if not options.enable_batching:
        if options.batching_parameters_file:
            raise invalid(
                "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
            )
        return
    if options.batching_parameters_file:
        parameters.from_file(options.batching_parameters_file)
