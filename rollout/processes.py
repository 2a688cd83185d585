"""Background processes of ENGINE=local: started detached, found again by pid, stopped by signal.

A record in `.run/` holds the pid and the moment the process began, so that a pid that the system has given to
somebody else in the meantime is never mistaken for ours.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import psutil

from bundle import files

_SAME_START_S = 1.0


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
            ours = abs(process.create_time() - record["began"]) < _SAME_START_S
            return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

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
        files.write_atomically(self._record, json.dumps({"pid": child.pid, "began": process.create_time()}) + "\n")
        return process

    def stop(self, timeout_s: float) -> bool:
        """Ask it to end, and kill it after `timeout_s`; returns whether it had to be killed."""
        process = self.find()
        killed = False
        if process is not None:
            try:
                process.terminate()
                process.wait(timeout_s)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout_s)
                killed = True
            except psutil.NoSuchProcess:
                pass
        self._record.unlink(missing_ok=True)
        return killed

    def last_lines(self, count: int) -> list[str]:
        """The end of its log."""
        if not self.log.is_file():
            return []
        with self.log.open(encoding="utf-8", errors="replace") as log:
            return [line.rstrip("\n") for line in deque(log, maxlen=count)]
