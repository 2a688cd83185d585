"""What the server sets for its own process."""

from __future__ import annotations

import subprocess
import sys

import psutil

from serving import memory
from tests.unit.bundle.parts import PROJECT

FAULTS = """
import resource, sys
from serving import memory
if sys.argv[1] == "kept":
    memory.keep_free_pages()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    blocks = [b"x" * (20 << 20) for _ in range(2)]  # As a request takes some megabytes several times.
for _ in range(3):
    use()
before = faults()
for _ in range(5):
    use()
print(faults() - before)
"""

FILES = """
import resource
from serving import process
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
print(process.most_open_files() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_memory_that_is_used_again_and_again_is_not_fetched_anew_each_time() -> None:
    without, kept = int(run(FAULTS, "as it is")), int(run(FAULTS, "kept"))
    assert without > 10_000  # Pages of four kilobytes, or the test shows nothing.
    assert kept < 1000


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    assert run(FILES) == "True"


def test_a_discarded_block_takes_no_memory_and_can_be_freed() -> None:
    block = bytearray(b"x") * (64 << 20)
    before = psutil.Process().memory_info().rss
    memory.discard(block)
    assert before - psutil.Process().memory_info().rss > 60 << 20
    block.clear()
    for size in (0, 1, 4095, 4097):
        memory.discard(bytearray(size))
