from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from bench.engines.base import Address
from bench.engines.target import Target
from bundle.errors import UsageError
from tests.unit.bundle.parts import PROJECT


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    everything = {**os.environ, **environment}
    return subprocess.run(command, cwd=PROJECT, env=everything, capture_output=True, text=True, check=False)


def test_help_answers_without_tensorflow() -> None:
    done = bench("--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert re.search(r"\| +bench\.cli$", done.stderr, re.MULTILINE)
    assert not re.search(r"\| +(tensorflow|keras)$", done.stderr, re.MULTILINE)
    assert "--targets" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "lenet"], "lenet-28"),
        (["--engines", "model-server,flask"], "flask: no such engine"),
        (["--clients", "0"], "'0' is not a whole number from 1 on"),
        (["--rounds", "many"], "'many' is not a whole number"),
        (["--targets", "127.0.0.1:8501"], "name=host:port"),
        (["--targets", "tfs=127.0.0.1:99999"], "1 to 65535"),
        (["--targets", "tfs=127.0.0.1:8501,rest=1"], "name=host:port"),
        (["--generator", "ab"], "invalid choice"),
        (["everything"], "unrecognized arguments"),
    ],
)
def test_wrong_use_is_told_in_words_with_exit_status_2(arguments: list[str], says: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_names_its_ports_and_its_process() -> None:
    assert Target.parse("tfs=box:8501,grpc=8500,pid=7") == Target("tfs", Address("box", 8501, 8500), 7)
    assert Target.parse("tfs=box:8501") == Target("tfs", Address("box", 8501, None), None)


def test_a_target_must_not_take_the_name_of_an_engine() -> None:
    with pytest.raises(UsageError, match="fastapi is an engine of the bench"):
        Target.parse("fastapi=127.0.0.1:8501")
