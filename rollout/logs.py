"""Show the logs of background processes, and follow them on a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

from bundle import output
from rollout.processes import Background

_SHOWN = 30
_PAUSE_S = 0.3


def show(processes: Sequence[Background], follow: bool) -> None:
    """Print the end of each log, each line behind its name; then what is added, until Ctrl-C, when `follow`."""
    for process in processes:
        for line in process.last_lines(_SHOWN):
            output.line(f"{process.name} | {line}")
    if follow:
        _follow([process for process in processes if process.log.is_file()])


def _follow(processes: Sequence[Background]) -> None:
    opened: list[tuple[str, TextIO]] = []
    try:
        for process in processes:
            file = process.log.open(encoding="utf-8", errors="replace")
            file.seek(0, 2)
            opened.append((process.name, file))
        while True:
            for name, log in opened:
                for line in log:
                    output.line(f"{name} | {line.rstrip()}")
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        pass  # The way to end following a log.
    finally:
        for _, log in opened:
            log.close()
