"""kill -9 at any moment of a publish leaves no half version, and the next publish works."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from bundle.publish import STAGING_PREFIX
from bundle.versions import highest_ever, version_folders
from tests.unit.bundle.parts import digest, killed_after, make_version, publish_copy, python

ROUNDS = 12
PUBLISH_ON = """
import sys
from pathlib import Path
from tests.unit.bundle.parts import publish_copy
source, base, quarantine = map(Path, sys.argv[1:])
print("begin", flush=True)
while True:
    publish_copy(source, base, quarantine)
"""


def test_kills_at_random_moments_leave_only_whole_versions(tmp_path: Path) -> None:
    source = make_version(tmp_path / "source", files=20, size=50_000)
    base, quarantine = tmp_path / "base", tmp_path / "quarantine"
    expected = digest(source)
    began = time.monotonic()
    publish_copy(source, base, quarantine)
    one_publish_s = time.monotonic() - began
    chance = random.Random(7)
    interrupted = 0
    for _ in range(ROUNDS):
        with killed_after(python(PUBLISH_ON, source, base, quarantine)) as publisher:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "begin\n"
            time.sleep(chance.uniform(0, 2 * one_publish_s))
            os.kill(publisher.pid, signal.SIGKILL)
            publisher.wait()
        interrupted += bool(list(base.glob(f"{STAGING_PREFIX}*")))
        assert {digest(folder) for folder in version_folders(base).values()} == {expected}
        before = highest_ever(base, quarantine)
        version = publish_copy(source, base, quarantine)
        assert version.number == before + 1
        assert not list(base.glob(f"{STAGING_PREFIX}*"))
    assert interrupted >= ROUNDS // 2  # Otherwise the kills missed what they are meant to hit.
