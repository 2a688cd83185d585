"""Trying a version before it serves: how long a row takes.

A trial ends in time whatever the version does. TensorFlow ends a run at the next turn of a loop, but not within an
operation, nor within the preparation of a graph. So each trial has a thread of its own, and when its time is over
nobody waits for that thread: it ends as soon as it can, and the session is freed then.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from math import inf

from serving import memory, threads
from serving.probes import Probe
from serving.session import Session

log = logging.getLogger(__name__)


class Trial:
    """A session that is asked the first of `probes` that it answers, twice, from now on and for `seconds` at most.

    The session is the trial's: `close` frees it.
    """

    def __init__(self, session: Session, probes: Sequence[Probe], seconds: float) -> None:
        self.took = 0.0
        """How long the CPU is busy with a row: 0 where nothing is known, infinite where it is longer than the trial."""
        self._session = session
        self._probes = probes
        self._seconds = seconds
        # No daemon: a process that ended under an operation that still computes would crash.
        self._thread = threading.Thread(target=self._run, name="trial", daemon=False)
        self._thread.start()

    def wait(self) -> None:
        """Return when it has ended or its time is over."""
        self._thread.join(self._seconds)
        if self._thread.is_alive():
            self.took = inf

    def close(self) -> None:
        """Free the session, at once or as soon as what is under way has ended. `took` stays as it is."""
        if not self._thread.is_alive():
            self._session.close()
            return
        log.info("A made-up request or record takes longer than %g s (--load_trial_seconds)", self._seconds)
        threads.put_last(self._thread)
        threading.Thread(target=self._end, name="trial-end", daemon=False).start()

    def _end(self) -> None:
        self._session.interrupt()
        self._thread.join()
        memory.trim()

    def _run(self) -> None:
        for probe in self._probes:
            with contextlib.suppress(Exception):  # It does not take what was made up; graphs of all kinds come here.
                self._session.run_here(probe.feeds, probe.fetches)
                # The first run prepared the kernels. In time of the CPU it makes no difference who else is busy.
                used = time.thread_time()
                self._session.run_here(probe.feeds, probe.fetches)
                self.took = self.took or time.thread_time() - used
                return
