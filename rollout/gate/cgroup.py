"""Control groups for a worker, where this machine lets us make them: the kernel holds its memory, and kills it whole.

Version 2 is what systems have now, version 1 what some still keep the memory in. In a container both are mostly
read-only, and a plain user has them only where they were delegated: then there is none, and the parent watches.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_LIMITS = ("memory.max", "memory.limit_in_bytes")
_BESIDE = {"memory.swap.max": "0", "memory.oom.group": "1", "memory.memsw.limit_in_bytes": None}
_EVENTS = ("memory.events", "memory.oom_control")
_REMOVE_S = 1.0
_PAUSE_S = 0.01


class Groups:
    """The control groups of one worker; all methods do nothing where there are none. To be removed at the end."""

    def __init__(self, memory_bytes: int) -> None:
        self._name = f"gate-{uuid.uuid4().hex[:12]}"
        self._folders: list[Path] = []
        self.limits_memory = False
        for places in _places():
            self._make(places, memory_bytes)

    def take(self, pid: int) -> None:
        """Put a process into them, with all that it starts from now on."""
        for folder in list(self._folders):
            try:
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError:
                self._folders.remove(folder)
                _remove(folder)
        self.limits_memory = any(_limit(folder) for folder in self._folders)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in them because the memory that they may take was taken."""
        lines = [line.split() for folder in self._folders for name in _EVENTS for line in _lines(folder / name)]
        return any(line[0] == "oom_kill" and line[1] != "0" for line in lines if len(line) > 1)

    def kill(self) -> None:
        """Kill everything in them, whatever it has started."""
        for folder in self._folders:
            try:
                (folder / "cgroup.kill").write_text("1")
            except OSError:  # Linux before 5.14, and version 1
                for pid in _lines(folder / "cgroup.procs"):
                    with contextlib.suppress(ProcessLookupError, ValueError):
                        os.kill(int(pid), signal.SIGKILL)

    def remove(self) -> None:
        """Kill what is left in them until nothing is, and remove them."""
        for folder in self._folders:
            end = time.monotonic() + _REMOVE_S
            while not _remove(folder) and time.monotonic() < end:
                self.kill()
                time.sleep(_PAUSE_S)
        self._folders.clear()

    def _make(self, places: list[Path], memory_bytes: int) -> None:
        """Make a group in the nearest place where one can hold memory; else in the nearest, to kill it whole."""
        spare: Path | None = None
        for place in places:
            folder = place / self._name
            try:
                folder.mkdir()
            except OSError:
                continue
            limit = _limit(folder)
            if limit is not None and _hold(folder, limit, memory_bytes):
                self._folders.append(folder)
                break
            if spare is None and (folder / "cgroup.kill").exists():
                spare = folder
            else:
                _remove(folder)
        else:
            self._folders += [spare] if spare else []
            return
        if spare is not None:
            _remove(spare)


def _places() -> Iterator[list[Path]]:
    """For each hierarchy that counts, our own group and those above it."""
    own = dict(_own_groups())
    for line in _lines(Path("/proc/self/mountinfo")):
        facts, _, kind = line.partition(" - ")
        root, mounted = facts.split()[3:5]
        system, options = kind.split()[0], kind.split()[-1].split(",")
        name = "" if system == "cgroup2" else "memory" if system == "cgroup" and "memory" in options else None
        if name is None or name not in own:
            continue
        inside = Path(own[name]).parts if root == "/" else ()
        folders = [Path(mounted, *inside[1:length]) for length in range(len(inside), 0, -1)]
        yield folders or [Path(mounted)]


def _own_groups() -> Iterator[tuple[str, str]]:
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            yield controllers, path


def _limit(folder: Path) -> Path | None:
    return next((folder / name for name in _LIMITS if (folder / name).exists()), None)


def _hold(folder: Path, limit: Path, memory_bytes: int) -> bool:
    try:
        limit.write_text(str(memory_bytes))
    except OSError:
        return False
    for name, value in _BESIDE.items():
        if (folder / name).exists():
            with contextlib.suppress(OSError):
                (folder / name).write_text(value or str(memory_bytes))
    return True


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
