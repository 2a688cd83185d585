"""What a command's end looks like to whoever typed it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.bundle.parts import PROJECT

RUN = """
import sys
from bundle import errors, output
def command():
    output.step("began")
    {body}
sys.exit(output.run_command(command))
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN.format(body=body)]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=20, check=False)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("return 0", 0, ""),
        ("return 5", 5, ""),
        ("raise errors.BundleError('it broke')", 1, "error: it broke\n"),
        ("raise errors.UsageError('not so')", 2, "error: not so\n"),
        ("raise errors.SettingsError('bad value')", 2, "error: bad value\n"),
        ("raise errors.RefusedVersion('no')", 3, "error: no\n"),
        ("raise KeyboardInterrupt", 130, "error: interrupted\n"),
        ("open('/not/there')", 1, "error: /not/there: No such file or directory\n"),
    ],
)
def test_every_end_has_its_status_and_one_message(body: str, status: int, said: str) -> None:
    answer = run(body)
    assert answer.returncode == status
    assert answer.stderr == said
    assert answer.stdout.startswith("--> began  (")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    script = RUN.format(body="[output.line('x' * 1000) for _ in range(1000)]; return 0")
    command = f"{sys.executable} -c '{script.replace(chr(39), chr(34))}' | head -n 1"
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert answer.stdout.startswith("--> began")
    assert answer.stderr == ""
