"""Trying a version before it serves: how long a row takes, and whether constants answer as its variables do.

A trial ends in time whatever the version does. TensorFlow ends a run at the next turn of a loop, but not within an
operation, nor within the optimising of a graph. So each trial has a thread of its own, and when its time is over nobody
waits for that thread: it frees what it holds as soon as it can, and ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf

from serving import freezing, memory, probes, threads
from serving.errors import ServingError
from serving.freezing import Answer
from serving.probes import Probe
from serving.session import Graph, Session
from serving.source import Source
from serving.threads import Plan

log = logging.getLogger(__name__)

_LOWEST_PRIORITY = 19
# What is left is for putting away what was in vain.
_WITHOUT_THE_REST = 0.85
_LOOK_S = 0.02


class _Over(Exception):
    """The trial is not wanted any more."""


class Trial:
    """A version that is tried from now on. With `asked` the plan is given; `freeze` tries constants.

    `seconds` are for its runs: opening it and converting its graph run nothing of it, and end by themselves.
    """

    def __init__(self, source: Source, asked: Plan | None, freeze: bool, seconds: float) -> None:
        self.plan = asked
        """The plan that suits the version, as soon as that is known."""
        self.frozen: Session | None = None
        """Its session with constants, as soon as that is known to answer as the variables do."""
        self._source = source
        self._freeze = freeze
        self._seconds = seconds
        self._spent = 0.0
        self._ran_s = 0.0
        self._run_began: float | None = None
        self._lock = threading.Lock()
        self._over = False
        self._comparing = False
        self._running: Session | None = None
        # No daemon: a process that ended under an operation that still computes would crash.
        self._thread = threading.Thread(target=self._run, name="trial", daemon=False)
        self._thread.start()

    def wait(self) -> bool:
        """Return when it has ended or its time is over; whether it has ended.

        A comparison is waited for: what takes long in it is not the runs, which are known to fit into the time, but
        the optimising before. Anything else is given up.
        """
        while self._thread.is_alive() and (self._comparing or self._left() > 0):
            self._thread.join(_LOOK_S)
        if self._thread.is_alive():
            self.give_up()
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """From now on `plan` and `frozen` stay as they are. What is under way ends as soon as it can."""
        with self._lock:
            self._over = True
            running, self._running = self._running, None
        if running is not None:
            _put_last(self._thread)
            threading.Thread(target=running.interrupt, name="trial-end", daemon=False).start()

    def _run(self) -> None:
        try:
            self._try()
        except _Over:
            log.info("%s was not tried to the end in %g s (--load_trial_seconds)", self._source.path, self._seconds)
            memory.trim()
        except ServingError:
            pass  # What is wrong with it is to be told in the words of the optimised graph.
        except Exception as error:  # noqa: BLE001 - graphs of all kinds come here, and each can be served untried
            log.info("%s cannot be tried: %s: %s", self._source.path, type(error).__name__, error)

    def _try(self) -> None:
        tries = probes.of_version(self._source.path, self._source.meta_graph)
        if not tries:
            self._keep_variables(freezing.NOTHING_TO_COMPARE)
            return
        session = self._source.brief(threads.LIGHT)
        try:
            # One after the other: beside the converter a run takes twice as much time of the CPU.
            answers = self._ask(session, tries)
            constants = self._constants(session) if self._freeze else None
        finally:
            session.close()
        if constants is not None:
            self._compare(constants, answers)

    def _ask(self, session: Session, tries: Sequence[Probe]) -> list[Answer]:
        """What the version answers with its variables, as far as it takes what it is asked; decides on the plan."""
        answers, longest = [], 0.0
        for probe in tries:
            try:
                with self._interruptible(session):
                    answer, seconds = self._answer(session, probe)
            except ServingError:
                continue
            answers.append(answer)
            longest = max(longest, seconds)
        with self._lock:
            self._check()
            self.plan = self.plan or threads.suiting(longest)
        return answers

    def _answer(self, session: Session, probe: Probe) -> tuple[Answer, float]:
        """An answer, and how long the CPU is busy with it: 0 where that need not be known, infinite if it is long."""
        began = time.monotonic()
        values = session.run_here(probe.feeds, probe.fetches)
        took = time.monotonic() - began
        self._spent += took
        if self.plan is not None or not probe.typical:
            return Answer(probe, values, took), 0.0
        if took > self._left():
            return Answer(probe, values, took), inf
        # The first run prepared the kernels. In time of the CPU it makes no difference who else is busy.
        began, used = time.monotonic(), time.thread_time()
        session.run_here(probe.feeds, probe.fetches)
        took, used = time.monotonic() - began, time.thread_time() - used
        self._spent += took
        return Answer(probe, values, took), used

    def _constants(self, session: Session) -> Graph | None:
        """The graph with constants, or None when it cannot be made."""
        try:
            return Graph(freezing.frozen_graph(session, self._source.meta_graph, self._source.init))
        except Exception as error:  # noqa: BLE001 - the converter meets graphs of all kinds
            if not self._over:
                self._keep_variables(f"its graph cannot be converted: {type(error).__name__}: {error}")
            return None

    def _compare(self, constants: Graph, answers: Sequence[Answer]) -> None:
        """Take over the session with constants if it gives the same answers to what there is time to ask."""
        assert self.plan is not None
        with self._lock:
            self._check()
            self._comparing = True
        try:
            session = self._source.constant(constants, self.plan)
        except ServingError as error:
            self._keep_variables(f"its graph cannot be converted: {error}")
            return
        try:
            with self._interruptible(session):
                reason = freezing.difference(session, self._affordable(answers))
            with self._lock:
                self._check()
                self.frozen = None if reason else session
        except BaseException:
            session.close()
            raise
        if reason:
            session.close()
            self._keep_variables(reason)

    def _affordable(self, answers: Sequence[Answer]) -> Iterator[Answer]:
        for answer in answers:
            if self._spent + answer.seconds <= self._seconds:
                self._spent += answer.seconds
                yield answer

    def _keep_variables(self, reason: str) -> None:
        if self._freeze:
            log.info("Served with its variables: %s: %s", self._source.path, reason)

    def _left(self) -> float:
        """How many seconds its runs may still take."""
        began = self._run_began
        running = 0.0 if began is None else time.monotonic() - began
        return self._seconds * _WITHOUT_THE_REST - self._ran_s - running

    @contextmanager
    def _interruptible(self, session: Session) -> Iterator[None]:
        """Let `give_up` end what is run in `session`."""
        with self._lock:
            self._check()
            self._running = session
        began = self._run_began = time.monotonic()
        try:
            yield
        except ServingError:
            self._check()
            raise
        finally:
            self._run_began = None
            self._ran_s += time.monotonic() - began
            with self._lock:
                self._running = None

    def _check(self) -> None:
        if self._over:
            raise _Over


def _put_last(thread: threading.Thread) -> None:
    """Let what cannot be ended have only the CPU that nobody else wants."""
    if sys.platform == "linux" and thread.native_id is not None:
        with contextlib.suppress(OSError):  # It has just ended.
            os.setpriority(os.PRIO_PROCESS, thread.native_id, _LOWEST_PRIORITY)
