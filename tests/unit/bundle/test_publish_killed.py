"""kill -9 at moments all over a publish leaves no half version, and the next publish works."""

from __future__ import annotations

import signal
from pathlib import Path

from bundle.publish import STAGING_PREFIX
from bundle.versions import highest_ever, version_folders
from tests.unit.bundle.parts import digest, finish, killed_after, make_version, publish_copy, python

ROUNDS = 12
PUBLISH = """
import os, signal, sys
from pathlib import Path
from tests.unit.bundle.parts import publish_copy
source, base, quarantine = map(Path, sys.argv[1:4])
left = int(sys.argv[4])
begun = left
def count(frame, event, argument):
    global left
    if event == "c_call":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(count)
publish_copy(source, base, quarantine)
sys.setprofile(None)
print(begun - left)
"""
"""Kills itself at its n-th call of a function written in C, or prints how many there were."""


def test_a_kill_at_any_moment_leaves_only_whole_versions(tmp_path: Path) -> None:
    source = make_version(tmp_path / "source", files=20, size=50_000)
    base, quarantine = tmp_path / "base", tmp_path / "quarantine"
    expected = digest(source)
    calls = int(finish(python(PUBLISH, source, base, quarantine, 10**9)))
    interrupted = 0
    for moment in range(1, ROUNDS + 1):
        with killed_after(python(PUBLISH, source, base, quarantine, moment * calls // (ROUNDS + 1))) as publisher:
            assert publisher.wait() == -signal.SIGKILL
        interrupted += bool(list(base.glob(f"{STAGING_PREFIX}*")))
        assert {digest(folder) for folder in version_folders(base).values()} == {expected}
        before = highest_ever(base, quarantine)
        version = publish_copy(source, base, quarantine)
        assert version.number == before + 1
        assert not list(base.glob(f"{STAGING_PREFIX}*"))
    assert interrupted >= ROUNDS // 2  # Otherwise the kills missed what they are meant to hit.
