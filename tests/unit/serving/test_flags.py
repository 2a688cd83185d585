"""The command line: TensorFlow's rules for flags, and the defaults of tensorflow_model_server."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from serving import commandline
from serving.commandline import FlagError, HelpRequested, parse
from serving.flags import CPUS, FLAGS, Options


def test_defaults_are_those_of_the_real_server() -> None:
    options = parse([])
    assert (options.port, options.rest_api_port) == (8500, 0)
    assert options.rest_api_num_threads == options.grpc_max_threads == 4 * CPUS
    assert options.rest_api_timeout_in_ms == 30000
    assert (options.max_num_load_retries, options.load_retry_interval_micros) == (5, 60_000_000)
    assert (options.file_system_poll_wait_seconds, options.model_config_file_poll_wait_seconds) == (1, 0)
    assert (options.model_name, options.saved_model_tags) == ("default", "serve")
    assert options.enable_model_warmup and options.flush_filesystem_caches and options.enable_profiler
    assert options.host == "127.0.0.1"


def test_values_of_each_kind() -> None:
    options = parse(
        [
            "--port=1",
            "--model_name=a=b c",
            "--load_retry_interval_micros=-99999999999",
            "--per_process_gpu_memory_fraction=0.25",
            "--enable_batching",
            "--enable_model_warmup=false",
        ]
    )
    assert (options.port, options.model_name) == (1, "a=b c")
    assert options.load_retry_interval_micros == -99999999999
    assert options.per_process_gpu_memory_fraction == 0.25
    assert options.enable_batching and not options.enable_model_warmup


def test_the_last_of_repeated_flags_counts() -> None:
    assert parse(["--port=1", "--port=2"]).port == 2


def test_an_empty_string_is_a_value() -> None:
    assert parse(["--saved_model_tags="]).saved_model_tags == ""


@pytest.mark.parametrize(
    "argument",
    ["--port=abc", "--port=", "--port=1.5", "--port=2147483648", "--enable_batching=maybe", "--enable_batching=1"],
)
def test_a_value_of_the_wrong_kind_is_refused_in_the_real_words(argument: str) -> None:
    name, _, value = argument.removeprefix("--").partition("=")
    with pytest.raises(FlagError, match=f"Couldn't interpret value {value} for flag {name}[.]"):
        parse([argument])


@pytest.mark.parametrize("argument", ["--foo=1", "xyz", "-port=1", "--port", "--=1", "8500"])
def test_unknown_arguments_are_refused(argument: str) -> None:
    with pytest.raises(FlagError, match=f"unknown argument: {argument}"):
        parse([argument])


def test_a_misspelt_flag_gets_a_hint() -> None:
    with pytest.raises(FlagError, match=r"did you mean --model_base_path\?"):
        parse(["--model_basepath=/m"])


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help(argument: str) -> None:
    with pytest.raises(HelpRequested):
        parse(["--port=1", argument])


def test_usage_lists_every_flag() -> None:
    usage = commandline.usage()
    assert usage.startswith("usage: ") and "\nFlags:\n" in usage
    assert all(f"\t--{flag.name}=" in usage for flag in FLAGS)


def test_flags_without_effect_are_named_only_when_changed() -> None:
    assert commandline.ineffective(parse(["--port=1"])) == []
    changed = commandline.ineffective(parse(["--use_alts_credentials", "--num_unload_threads=2"]))
    assert {flag.name for flag in changed} == {"use_alts_credentials", "num_unload_threads"}


def test_the_table_and_the_options_are_one() -> None:
    assert [flag.name for flag in FLAGS] == [field.name for field in dataclasses.fields(Options)]
    assert all(flag.help and flag.support in ("supported", "accepted", "not applicable") for flag in FLAGS)


@pytest.mark.parametrize(("argument", "status"), [("--help", 255), ("--version", 0), ("--foo=1", 255)])
def test_answers_without_tensorflow(argument: str, status: int) -> None:
    code = (
        "import sys; from serving.main import main; status = main(sys.argv[1:]);"
        " assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert done.stdout
