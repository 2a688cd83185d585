"""Every flag of the model server, in one table: the fields of `Options`.

The command line, the usage text and the table in docs/engine.md are all made from it, so that they cannot
disagree. Names, defaults and meanings are tensorflow_model_server's; the last group is ours.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any, Final, Literal

Value = bool | int | float | str
Support = Literal["supported", "accepted", "not applicable"]
Kind = Literal["bool", "int32", "int64", "float", "string"]

CPUS: Final = os.cpu_count() or 1


def _flag(
    default: Value,
    help_text: str,
    *,
    kind: Kind | None = None,
    support: Support = "supported",
    shown: str | None = None,
) -> Any:
    metadata = {"help": help_text, "support": support, "kind": kind or _kind_of(default), "shown": shown}
    return dataclasses.field(default=default, metadata=metadata)


def _kind_of(default: Value) -> Kind:
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, int):
        return "int32"
    return "float" if isinstance(default, float) else "string"


_ACCEPTED: Final = "accepted"
_GPU_TPU: Final = "not applicable"


@dataclass(frozen=True)
class Options:
    """The values of all flags. Every attribute has the name of its flag."""

    port: int = _flag(8500, "TCP port of the gRPC API; 0 turns it off, then grpc_socket_path is required")
    grpc_socket_path: str = _flag("", "unix socket on which the gRPC API listens as well")
    rest_api_port: int = _flag(0, "TCP port of the REST API; 0 turns it off; must differ from port")
    rest_api_num_threads: int = _flag(
        4 * CPUS, "threads that run REST requests, besides those that wait for a batch", shown="4 x CPUs"
    )
    rest_api_timeout_in_ms: int = _flag(30000, "time limit of one REST prediction in ms; 0 or less: none")
    rest_api_enable_cors_support: bool = _flag(False, "answer REST requests with CORS headers")

    enable_batching: bool = _flag(False, "batch as tensorflow_model_server does; turns dynamic_batching off")
    batching_parameters_file: str = _flag("", "text proto BatchingParameters")
    enable_per_model_batching_parameters: bool = _flag(
        False, "read batching_params.pbtxt from each version folder; versions without one are not batched"
    )

    model_config_file: str = _flag(
        "", "text proto ModelServerConfig: what is served; model_name and model_base_path are then ignored"
    )
    model_config_file_poll_wait_seconds: int = _flag(
        0, "how often model_config_file is read again, in seconds; 0: once"
    )
    model_name: str = _flag("default", "name of the model, when there is no model_config_file")
    model_base_path: str = _flag("", "absolute base path of that model")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "let a new label point to a version that is not loaded (yet)"
    )

    num_load_threads: int = _flag(0, "how many versions load at once; 0: as many as CPUs, at least 2")
    num_unload_threads: int = _flag(0, "unloading has a thread per version anyway", support=_ACCEPTED)
    max_num_load_retries: int = _flag(5, "attempts to load a version after the first one failed")
    load_retry_interval_micros: int = _flag(
        60_000_000, "pause between two attempts in microseconds; negative: none", kind="int64"
    )
    file_system_poll_wait_seconds: int = _flag(
        1, "how often base paths are looked at, in seconds; 0: once; negative: never"
    )
    flush_filesystem_caches: bool = _flag(True, "drop the files of a loaded version from the page cache")

    tensorflow_session_parallelism: int = _flag(
        0, "threads within and between operations, both; 0: TensorFlow chooses", kind="int64"
    )
    tensorflow_intra_op_parallelism: int = _flag(
        0, "threads within one operation; 0: what suits the version; excludes the flag above", kind="int64"
    )
    tensorflow_inter_op_parallelism: int = _flag(
        0, "threads between operations; excludes tensorflow_session_parallelism", kind="int64"
    )
    tensorflow_session_config_file: str = _flag("", "text proto ConfigProto for the sessions")
    platform_config_file: str = _flag("", "text proto PlatformConfigMap", support=_ACCEPTED)
    saved_model_tags: str = _flag("serve", "tags of the graph to load, separated by commas")
    remove_unused_fields_from_bundle_metagraph: bool = _flag(
        True, "keep only the signatures of a loaded graph; always so here", support=_ACCEPTED
    )
    prefer_tflite_model: bool = _flag(False, "load model.tflite from a version folder that has one")
    num_tflite_pools: int = _flag(CPUS, "pools of TensorFlow Lite interpreters", shown="CPUs", support=_ACCEPTED)
    num_tflite_interpreters_per_pool: int = _flag(1, "interpreters in each pool", support=_ACCEPTED)
    enable_model_warmup: bool = _flag(True, "replay assets.extra/tf_serving_warmup_requests while loading")
    num_request_iterations_for_warmup: int = _flag(0, "how often each warm-up record is run; 0: once")
    enable_signature_method_name_check: bool = _flag(
        False, "refuse predict, classify and regress on signatures made for another of them"
    )

    grpc_channel_arguments: str = _flag("", "settings of the gRPC server: name=value,name=value")
    grpc_max_threads: int = _flag(
        4 * CPUS, "threads that run gRPC requests, besides those that wait for a batch", shown="4 x CPUs"
    )
    ssl_config_file: str = _flag("", "text proto SSLConfig: TLS for gRPC")
    use_alts_credentials: bool = _flag(False, "ALTS for gRPC", support=_GPU_TPU)
    enable_grpc_healthcheck_service: bool = _flag(False, "serve grpc.health.v1.Health")
    enable_serialization_as_tensor_content: bool = _flag(False, "gRPC answers carry tensors as tensor_content")
    monitoring_config_file: str = _flag("", "text proto MonitoringConfig: the Prometheus page")
    thread_pool_factory_config_file: str = _flag("", "text proto ThreadPoolConfig", support=_ACCEPTED)
    enable_profiler: bool = _flag(True, "serve the profiler on the gRPC port", support=_ACCEPTED)

    per_process_gpu_memory_fraction: float = _flag(0.0, "share of GPU memory to take", support=_GPU_TPU)
    xla_cpu_compilation_enabled: bool = _flag(False, "compile graphs with XLA for the CPU", support=_ACCEPTED)
    xla_gpu_compilation_enabled: bool = _flag(False, "compile graphs with XLA for the GPU", support=_GPU_TPU)
    mixed_precision: str = _flag("", "`bfloat16` lets TensorFlow compute in it", support=_ACCEPTED)
    skip_initialize_tpu: bool = _flag(False, "do not initialise TPUs", support=_GPU_TPU)
    version: bool = _flag(False, "print the versions and exit")

    host: str = _flag("127.0.0.1", "ours: address on which both APIs listen")
    allowed_hosts: str = _flag(
        "",
        "ours: names for which the REST API answers, separated by commas, besides the machine's own, those of"
        " one part and addresses; `.example.com` stands for all names below, `*` for any",
    )
    base_path_map: str = _flag(
        "", "ours: FROM=TO,FROM=TO: a base_path that starts with FROM is read from TO on this machine"
    )
    model_root: str = _flag(
        "", "ours: folders that hold base paths, separated by commas: what is added there later can be read as well"
    )
    allow_reload_requests: str = _flag(
        "loopback",
        "ours: whether HandleReloadConfigRequest is answered: `true`, `false`, or `loopback`: on a unix socket, and"
        " when host is a loopback address; base paths must be listed already, or lie below model_root",
    )
    sandbox: str = _flag(
        "on", "ours: `on` shuts models in: no file but theirs is read, none written, nobody reached; `off` does not"
    )
    dynamic_batching: bool = _flag(
        True, "ours: run requests together that arrive while their signature is busy; adds no waiting"
    )
    stack_requests: str = _flag(
        "",
        "ours: Model or Model:signature, separated by commas: run their requests together although nothing proves that"
        " rows do not influence each other",
    )
    stacking_audit_every: int = _flag(
        1000, "ours: one in so many stacked batches is run again request by request, to compare; 0: none"
    )
    freeze_variables: bool = _flag(
        True, "ours: load variables as constants, which is faster, where the graph only reads them"
    )
    load_trial_seconds: float = _flag(
        2.0,
        "ours: how long a version may be tried while it loads, with a record of its own or made-up input, to find the"
        " threads that suit it; 0: not at all, it gets TensorFlow's threads",
    )
    max_request_body_bytes: int = _flag(
        256 * 2**20,
        "ours: largest body of a REST request, and largest message of a gRPC call; what is larger is answered with 413"
        " and RESOURCE_EXHAUSTED",
        kind="int64",
    )
    max_request_memory: int = _flag(
        4 * 2**30,
        "ours: memory in bytes that reading a large REST request, or writing a large answer, may take; what"
        " takes more is answered with 429",
        kind="int64",
    )
    max_connections: int = _flag(
        4000,
        "ours: connections that the REST API has at once, half of them from one address; more make idle ones close,"
        " then those whose request has been coming longest",
    )
    max_queued_requests: int = _flag(
        4000, "ours: predictions that each API takes at once; more are answered with 429 or RESOURCE_EXHAUSTED"
    )
    http_read_timeout_seconds: int = _flag(
        60, "ours: how long a client may take to send a REST request, or the message of a gRPC call, in seconds"
    )
    drain_timeout_seconds: int = _flag(30, "ours: how long SIGTERM waits for requests in flight, in seconds")
    reuse_port: bool = _flag(
        False,
        "ours: let another server with this flag follow on the same ports: it gets all new connections, and SIGQUIT"
        " ends this one without losing a request; gRPC clients are asked to connect again every 5 s",
    )


@dataclass(frozen=True)
class Flag:
    """One row of the table."""

    name: str
    kind: Kind
    default: Value
    support: Support
    help: str
    shown_default: str


def _row(field: dataclasses.Field[Any]) -> Flag:
    metadata = field.metadata
    default: Any = field.default
    return Flag(
        field.name,
        metadata["kind"],
        default,
        metadata["support"],
        metadata["help"],
        metadata["shown"] or show(default),
    )


def show(value: Value) -> str:
    """The value as it is written on a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


FLAGS: Final[tuple[Flag, ...]] = tuple(_row(field) for field in dataclasses.fields(Options))
