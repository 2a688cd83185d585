"""What a load generator is told, and what it writes down. Imported by the generators: nothing heavy in here."""

from __future__ import annotations

import array
import dataclasses
import json
import resource
import signal
import sys
import time
from pathlib import Path

FIELDS = 3
"""Numbers per request in the file of samples: when it began and ended (time.monotonic), and 1.0 if it was answered."""


@dataclasses.dataclass(frozen=True)
class Order:
    """Keep `clients` busy at host:port for `seconds` and at least `answers` answers, but no longer than `deadline_s`.

    `request` is the file with the body. A SIGTERM ends it early; what is under way is always waited for.
    """

    host: str
    port: int
    path: str
    request: str
    clients: int
    seconds: float
    answers: int
    deadline_s: float
    samples: str

    @classmethod
    def from_command_line(cls) -> Order:
        """The order given as JSON in the first argument."""
        return cls(**json.loads(sys.argv[1]))


class Recorder:
    """The requests of one run; says when it is over."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._samples = array.array("d")
        self._answered = 0
        self._told_to_stop = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bench, which then ends this process.
        self.problem = ""
        self.began = time.monotonic()
        self._cpu_before = _cpu_s()

    def record(self, began: float, answered: bool) -> bool:
        """Note a request that ends now; returns whether there is to be another one."""
        now = time.monotonic()
        self._samples.extend((began, now, float(answered)))
        self._answered += answered
        return not self.is_over(now)

    def is_over(self, now: float) -> bool:
        """Whether no more requests are to be sent."""
        elapsed = now - self.began
        if self._told_to_stop or self.problem or elapsed >= self._order.deadline_s:
            return True
        return elapsed >= self._order.seconds and self._answered >= self._order.answers

    def finish(self) -> None:
        """Write the samples, and a summary as JSON on stdout."""
        with Path(self._order.samples).open("wb") as file:
            self._samples.tofile(file)
        wall_s = time.monotonic() - self.began
        summary = {"problem": self.problem, "cpu_s": _cpu_s() - self._cpu_before, "wall_s": wall_s}
        sys.stdout.write(json.dumps(summary) + "\n")

    def _stop(self, *_: object) -> None:
        self._told_to_stop = True


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
