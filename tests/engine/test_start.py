"""How the command starts: what it refuses, in which words, and what it serves although something is broken."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engine.conftest import StartEngine
from tests.engine.engine import Kits
from tests.engine.made import ENVIRONMENT
from tests.ports import free_ports

NO_RETRY = "--max_num_load_retries=0"
NOT_A_MODEL = "Specified file path does not appear to contain a SavedModel bundle"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, which has to be near."""
    grpc_port, rest_port = free_ports(2)
    command = [sys.executable, "-m", "serving.main", f"--port={grpc_port}", f"--rest_api_port={rest_port}", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, timeout=90)


def entry(name: str, base: Path | str, more: str = "") -> str:
    return f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {more} }}'


def config_file(folder: Path, *entries: str) -> str:
    path = folder / "models.config"
    path.write_text("model_config_list { " + " ".join(entries) + " }")
    return f"--model_config_file={path}"


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (
            [],
            "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file are empty!",
        ),
        (
            ["--port=0", "--model_base_path=/m"],
            "INVALID_ARGUMENT: At least one of server_options.grpc_port or server_options.grpc_socket_path must be"
            " set.",
        ),
        (
            ["--model_name=m", "--model_base_path=rel/x"],
            "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()=rel/x",
        ),
        (
            ["--model_base_path=/m", "--use_alts_credentials", "--ssl_config_file=/x"],
            "INVALID_ARGUMENT: Either use_alts_credentials must be false or ssl_config_file must be empty.",
        ),
        (
            ["--model_base_path=/m", "--batching_parameters_file=/x"],
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting"
            " server_options.enable_batching to true.",
        ),
        (
            ["--model_base_path=/m", "--enable_batching", "--batching_parameters_file=/nowhere"],
            "NOT_FOUND: /nowhere; No such file or directory",
        ),
        (
            ["--model_base_path=/m", "--tensorflow_session_parallelism=1", "--tensorflow_intra_op_parallelism=1"],
            "INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism or"
            " (server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism)"
            " separately. You cannot configure all.",
        ),
        (
            ["--model_base_path=/m", "--tensorflow_session_config_file=/nowhere"],
            "NOT_FOUND: /nowhere; No such file or directory",
        ),
        (
            ["--model_base_path=/m", "--rest_api_port=70000"],
            "INVALID_ARGUMENT: --rest_api_port=70000 is not a port; expected a number from 0 (off) to 65535",
        ),
        (
            ["--model_base_path=/m", "--base_path_map=x"],
            "INVALID_ARGUMENT: --base_path_map: found 'x'; expected FROM=TO, both absolute paths, such as"
            " /models=/home/me/models",
        ),
        (["--model_config_file=/nowhere.cfg"], "NOT_FOUND: /nowhere.cfg; No such file or directory"),
        (
            ["--model_base_path=/m", "--monitoring_config_file=/nowhere"],
            "NOT_FOUND: /nowhere; No such file or directory",
        ),
        (
            ["--model_base_path=/m", "--ssl_config_file=/nowhere"],
            "NOT_FOUND: /nowhere; No such file or directory",
        ),
    ],
)
def test_flags_that_cannot_work(flags: Sequence[str], error: str) -> None:
    done = run(*flags)
    assert (done.returncode, done.stdout) == (255, f"Failed to start server. Error: {error}\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("improperly formatted file", "INVALID_ARGUMENT: Invalid protobuf file: '{file}'"),
        ("", "INVALID_ARGUMENT: {file}; Invalid argument"),
        ("custom_model_config {}", "INVALID_ARGUMENT: ModelServer does not yet support custom model config."),
        (
            'model_config_list { config { name: "m" base_path: "/m" model_platform: "pytorch" } }',
            "INVALID_ARGUMENT: Model m requests unsupported platform pytorch",
        ),
        (
            f"model_config_list {{ {entry('m', '/a')} {entry('m', '/b')} }}",
            "INVALID_ARGUMENT: Illegal to list model m multiple times in config list",
        ),
        (
            "model_config_list { " + entry("m", "/m", 'version_labels { key: "stable" value: 123 }') + " }",
            "FAILED_PRECONDITION: Request to assign label to version 123 of model m, which is not currently"
            " available for inference",
        ),
    ],
)
def test_a_models_config_that_is_refused(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "models.config"
    file.write_text(text)
    done = run(f"--model_config_file={file}")
    assert (done.returncode, done.stdout) == (
        255,
        f"Failed to start server. Error: {error.format(file=file)}\n",
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 16 }",
            "max_execution_batch_size must not exceed max_batch_size; they are 16 and 8",
        ),
    ],
)
def test_batching_values_that_would_crash_the_real_server(tmp_path: Path, text: str, error: str) -> None:
    file = tmp_path / "batching.config"
    file.write_text(text)
    done = run("--model_base_path=/m", "--enable_batching", f"--batching_parameters_file={file}")
    assert (done.returncode, done.stdout) == (
        255,
        f"Failed to start server. Error: INVALID_ARGUMENT: {error}\n",
    )


@pytest.mark.parametrize("which", ["--port", "--rest_api_port"])
def test_a_port_that_is_taken(tmp_path: Path, which: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run(f"--model_base_path={tmp_path}", f"{which}={port}")
    assert done.returncode == 255
    assert f"Port {port} on 127.0.0.1 ({which}) is already in use: stop the process that holds it" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    done = run("--model_name=m", f"--model_base_path={tmp_path / 'm'}", NO_RETRY)
    assert done.returncode == 255
    assert done.stdout.startswith(
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 1}"
        f" due to error: NOT_FOUND: {NOT_A_MODEL}"
    )


def test_wrong_tags_end_the_start(kits: Kits, tmp_path: Path) -> None:
    kits.publish(tmp_path / "m", "123", 1)
    done = run(f"--model_base_path={tmp_path / 'm'}", NO_RETRY, "--saved_model_tags=serve,gpu")
    assert (done.returncode, done.stdout) == (
        255,
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: default"
        " version: 123} due to error: NOT_FOUND: Could not find meta graph def matching supplied tags: { gpu serve"
        " }. To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`},"
        " }\n",
    )


def test_what_is_good_is_served_although_much_is_broken(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    """The newest version of one model is empty, another model is all broken, a third has no base path."""
    kits.publish(tmp_path / "good", "1", 1)
    (tmp_path / "good" / "2").mkdir()
    (tmp_path / "bad" / "1").mkdir(parents=True)
    names = ("bad", "missing", "good")
    engine = start_engine(config_file(tmp_path, *(entry(name, tmp_path / name) for name in names)))
    assert engine.states("good") == {2: "LOADING", 1: "AVAILABLE"}
    assert engine.predict("good") == 1.0
    assert engine.refusal("bad") == (404, "Servable not found for request: Latest(bad)")
    assert engine.states("missing") == {}
    kits.publish(tmp_path / "missing", "1", 3)
    kits.fill(tmp_path / "good" / "2", 2)
    engine.until(lambda: engine.states("good") == {2: "AVAILABLE", 1: "END"})
    engine.until(lambda: engine.states("missing") == {1: "AVAILABLE"})


def test_the_ports_open_when_the_first_version_is_there(start_engine: StartEngine, kits: Kits, tmp_path: Path) -> None:
    base = tmp_path / "m"
    base.mkdir()
    engine = start_engine("--model_name=m", f"--model_base_path={base}", wait=False)
    engine.until(lambda: f"No versions of servable m found under base path {base}." in engine.log, 60)
    assert not engine.listening()
    kits.publish(base, "1", 1)
    engine.wait_ready()
    assert engine.predict("m") == 1.0


def test_labels_at_start_and_base_paths_that_are_elsewhere_and_looked_at_once(
    start_engine: StartEngine, kits: Kits, tmp_path: Path
) -> None:
    base = tmp_path / "here" / "m"
    kits.publish(base, "1", 1)
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "next" value: 9 }'
    engine = start_engine(
        config_file(tmp_path, entry("m", "/models/m", labels)),
        "--allow_version_labels_for_unavailable_models",
        f"--base_path_map=/models={tmp_path / 'here'}",
        "--file_system_poll_wait_seconds=0",
    )
    kits.publish(base, "2", 2)
    published = time.monotonic()
    assert engine.predict("m", which="/labels/stable") == 1.0
    assert engine.refusal("m", "/labels/next") == (404, "Servable not found for request: Specific(m, 9)")
    time.sleep(max(0.0, published + 1.5 - time.monotonic()))  # longer than a poll takes by default
    assert engine.predict("m") == 1.0
    assert engine.states("m") == {1: "AVAILABLE"}


def test_an_empty_list_serves_and_the_same_port_twice_leaves_rest_out(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    port = free_ports(1)[0]
    engine = start_engine(
        config_file(tmp_path), f"--port={port}", f"--rest_api_port={port}", "--num_unload_threads=3", wait=False
    )
    engine.until(lambda: "Skipped exporting HTTP/REST API." in engine.log, 60)
    assert "--num_unload_threads has no effect here (accepted)" in engine.log
    engine.signal()
    assert engine.exit_status() == 0
