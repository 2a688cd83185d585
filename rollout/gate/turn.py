"""One version is examined at a time: two of them would take the CPU, and with it the measure, from each other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from bundle import files, output
from rollout import interrupt

_PAUSE_S = 0.1


@contextlib.contextmanager
def alone(run_dir: Path) -> Iterator[None]:
    """Wait until nobody else in this bundle examines a version, whichever model it is of; the wait can be interrupted.

    Where no lock can be had, it goes on without one: that costs time and proves nothing wrong.
    """
    said = False
    with contextlib.ExitStack() as held:
        while not _locked(run_dir / "gate.lock", held):
            if not said:
                output.step("another version is examined; waiting for that to end")
                said = True
            interrupt.look_up()
            time.sleep(_PAUSE_S)
        yield


def _locked(path: Path, held: contextlib.ExitStack) -> bool:
    try:
        path.parent.mkdir(exist_ok=True)
        with contextlib.ExitStack() as tried:
            if not tried.enter_context(files.try_lock(path)):
                return False
            held.push(tried.pop_all())
    except OSError:
        pass
    return True
