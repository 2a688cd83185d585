"""How a version shares the CPUs: how many threads compute one operation, and how many requests run side by side.

Splitting an operation costs some ten microseconds, at each of hundreds of operations. A ResNet on 32x32 pixels is
faster on one thread than on two, and two requests side by side then have a core each. On 224x224 pixels a lone
request gains more from the second core than sixteen lose by it. A LeNet is done before a second request could help;
what it needs is the CPU for reading requests.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from dataclasses import dataclass
from typing import Final

from serving.flags import CPUS


@dataclass(frozen=True)
class Plan:
    """Threads within an operation (0: as many as TensorFlow takes, one for each CPU), and runs side by side."""

    threads: int
    runs: int


# What is left to do for a CPU besides: taking requests in and writing answers.
_HALF: Final = max(1, CPUS // 2)

LIGHT: Final = Plan(1, _HALF)
MIDDLE: Final = Plan(1, CPUS)
# While one request has its picture decoded, which takes one thread, the other one computes.
HEAVY: Final = Plan(0, 2)

# For one row on one core, before the graph is optimised, a LeNet takes 0.2 ms, a ResNet50V2 10 ms for 32x32 pixels and
# 60 ms for 224x224.
_MIDDLE_S: Final = 0.001
_HEAVY_S: Final = 0.02

_LOWEST_PRIORITY: Final = 19


def asked_for(threads: int) -> Plan:
    """The plan with a number of threads that somebody has chosen."""
    return Plan(threads, MIDDLE.runs if threads == 1 else HEAVY.runs)


def suiting(seconds: float) -> Plan:
    """The plan for a version of which one row takes one thread `seconds`, at most; 0 when that is not known."""
    if not seconds:
        return HEAVY  # TensorFlow's own way is never far off.
    if seconds < _MIDDLE_S:
        return LIGHT
    return MIDDLE if seconds < _HEAVY_S or CPUS == 1 else HEAVY


def put_last(thread: threading.Thread) -> None:
    """Let a thread have only the CPU that nobody else wants, from now on, where the system knows how."""
    if sys.platform == "linux" and thread.native_id is not None:
        with contextlib.suppress(OSError):  # It has just ended.
            os.setpriority(os.PRIO_PROCESS, thread.native_id, _LOWEST_PRIORITY)
