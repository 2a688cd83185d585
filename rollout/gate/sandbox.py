"""Shut a process in before it runs foreign code: it writes no file, reaches nobody and starts no process any more.

A SavedModel is a program: its graph may hold operations that write files, open connections or end the process. The
kernel takes these rights from a process for good, without any privileges. What it does not know is named.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from bundle import landlock, seccomp

_PR_SET_PDEATHSIG = 1
_NICENESS = 10


def enter(parent: int, read: Iterable[Path] | None = None) -> list[str]:
    """Restrict this process and every thread it starts from now on; returns what could not be restricted.

    It may read what `read` names, or everything. Call it while there is one thread. The process dies with `parent`,
    which started it.
    """
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # Where Landlock is missing: no file gets any content.
    if sys.platform == "linux":
        _die_with(parent)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # When memory runs out, this process goes first.
    return landlock.restrict(landlock.Allowed(read, [Path(os.devnull)])) + seccomp.restrict(listens=False)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # It went away before it could have been noticed.
