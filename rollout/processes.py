"""Background processes of ENGINE=local: found again by pid, stopped by signal.

A record in `.run/` holds the pid and when the process began, in ticks since which boot, so that a pid that the system
has given to somebody else in the meantime is never mistaken for ours, and a clock that is set loses nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import psutil

from bundle import files

_KILL_S = 10.0
_PAUSE_S = 0.05


def identity(process: psutil.Process) -> str:
    """What tells a process from every other that has had, or will have, its pid; no change of the clock changes it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        facts = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # Another system than Linux.
        return f"{process.create_time():.0f}"
    # The name in brackets may hold anything; the start in ticks since the boot is the 22nd fact.
    return f"{boot}:{facts.rpartition(')')[2].split()[19]}"


@dataclasses.dataclass(frozen=True)
class Background:
    """One named background process of the bundle in `run_dir`."""

    name: str
    run_dir: Path

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.run_dir / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.run_dir / f"{self.name}.json"

    def find(self) -> psutil.Process | None:
        """The running process, or None: never started, ended, or the pid belongs to somebody else now."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            process = psutil.Process(record["pid"])
            ours = identity(process) == record["identity"]
            return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def is_frozen(self) -> bool:
        """Whether it runs and was stopped by a signal (SIGSTOP), so that it does nothing until SIGCONT."""
        process = self.find()
        try:
            return process is not None and process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def start(self, command: Sequence[str], cwd: Path) -> psutil.Process:
        """Start `command` in a session of its own, so that it outlives the terminal; its log is appended to."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = psutil.Process(child.pid)
        self.record(process)
        return process

    def record(self, process: psutil.Process) -> None:
        """Have `process` found from now on."""
        facts = {"pid": process.pid, "identity": identity(process)}
        files.write_atomically(self._record, json.dumps(facts) + "\n")

    @property
    def was_started(self) -> bool:
        """Whether it was started, and not stopped since; it may have ended."""
        return self._record.is_file()

    def forget(self) -> None:
        """Have it not found any more."""
        self._record.unlink(missing_ok=True)

    def rename(self, name: str) -> Background:
        """Have it found under another name from now on; its log stays where it is."""
        other = dataclasses.replace(self, name=name)
        with contextlib.suppress(FileNotFoundError):
            self._record.rename(other._record)
        return other

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs, and have it go on if it is stopped (SIGSTOP): it would not hear of it."""
        process = self.find()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
                process.resume()

    def stop(self, timeout_s: float, number: signal.Signals = signal.SIGTERM) -> bool:
        """Ask it to end, and kill it after `timeout_s`; returns whether it had to be killed."""
        self.send(number)
        ended = self._ends_within(timeout_s)
        if not ended:
            self.send(signal.SIGKILL)
            self._ends_within(_KILL_S)
        self.forget()
        return not ended

    def _ends_within(self, timeout_s: float) -> bool:
        """Whether it ends in time; one that nobody reaps has ended, which psutil's own wait does not see."""
        deadline = time.monotonic() + timeout_s
        while self.find() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_S)
        return True

    def last_lines(self, count: int) -> list[str]:
        """The end of its log."""
        if not self.log.is_file():
            return []
        with self.log.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip("\n") for line in deque(log, maxlen=count)]
