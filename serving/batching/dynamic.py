"""Batch while busy: requests that arrive while their signature is being run are run together after that.

Nothing ever waits for company. A request that finds a worker free runs at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt

from serving import metrics
from serving.batching import merging
from serving.batching.audit import Auditor
from serving.batching.lanes import Lanes, Member
from serving.batching.later import Later, Outcome, unexpected
from serving.batching.stacking import Stacking
from serving.errors import Code, ServingError, timed_out
from serving.fair import FairSemaphore
from serving.flags import CPUS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.servable import Runner

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

MOST_ROWS: Final = 64
_CONCURRENT_RUNS: Final = 4 * CPUS
_MOST_REMEMBERED: Final = 1000
_FOREVER_S: Final = 1e7


class DynamicRunner:
    """Runs requests together where that changes no answer, everything else by itself.

    At most `side_by_side` batches of a signature run at a time; the rest waits, and fills the next one.
    """

    def __init__(
        self, runner: Runner, signatures: Iterable[Stacking], side_by_side: int = 1, audit_every: int = 0
    ) -> None:
        self.signatures = list(signatures)
        self._runner = runner
        self._found: dict[Hashable, Stacking | None] = {}
        self._lanes = Lanes(side_by_side, MOST_ROWS)
        self._runs = FairSemaphore(_CONCURRENT_RUNS)
        self._auditor = Auditor(self._audited, self._lanes.wait_until_idle, audit_every)
        metrics.stacking_began(self.signatures)

    def run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        targets: Sequence[str],
        timeout_s: float | None,
    ) -> list[Array]:
        """Feed, run and fetch by tensor name; raises what the request fails with when it is run alone."""
        timeout_s = _waitable(timeout_s)
        signature, rows = self._find(feeds, fetches), _rows(feeds)
        if targets or signature is None or not _may_share(signature, feeds, rows):
            return self._run_by_itself(feeds, fetches, targets, timeout_s)
        return self._run_in_lane(signature, Member(feeds, rows, timeout_s), tuple(fetches))

    def start(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout_s: float | None, later: Later
    ) -> Callable[[], None] | None:
        """As `run`, but no thread waits. Returns what to call when the time is over, if the request is queued."""
        timeout_s = _waitable(timeout_s)
        signature, rows = self._find(feeds, fetches), _rows(feeds)
        if signature is None or not _may_share(signature, feeds, rows):
            later.run(self._run_by_itself, feeds, fetches, (), timeout_s)
            return None
        member = Member(feeds, rows, timeout_s, later)
        key = _key(signature, feeds, fetches)
        if self._lanes.join(key, member):
            later.threads.submit(self._lead_on, key, signature, tuple(fetches), member)
            return None
        return partial(self._give_up, key, member)

    def close(self) -> None:
        """Free everything; no request is running."""
        self._auditor.close()
        metrics.stacking_ended(self.signatures)
        self._runner.close()

    def _find(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Stacking | None:
        key = (*feeds, None, *fetches)
        if key not in self._found:
            fed, fetched = set(feeds), set(fetches)
            matches = (s for s in self.signatures if s.feeds == fed and fetched and fetched <= s.fetches)
            found = next(matches, None)
            if len(self._found) < _MOST_REMEMBERED:  # clients choose the outputs and their order
                self._found[key] = found
            return found
        return self._found[key]

    def _run_by_itself(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], targets: Sequence[str], timeout_s: float | None
    ) -> list[Array]:
        with self._permit(timeout_s):
            return self._runner.run(feeds, fetches, targets, timeout_s)

    def _run_in_lane(self, signature: Stacking, member: Member, fetches: tuple[str, ...]) -> list[Array]:
        key = _key(signature, member.feeds, fetches)
        batch = self._lanes.enter(key, member)
        if batch:
            successor = self._lead(key, signature, fetches, batch)
            if successor is not None:
                self._hand_over(key, signature, fetches, successor)
        assert member.outcome is not None
        if isinstance(member.outcome, ServingError):
            raise ServingError(member.outcome.code, member.outcome.message)
        return member.outcome

    def _lead_on(self, key: Hashable, signature: Stacking, fetches: Sequence[str], leader: Member) -> None:
        """Lead a batch; the next one gets a thread when the loop has read what has arrived, which fills it."""
        successor = self._lead(key, signature, fetches, self._lanes.fill(key, leader))
        if successor is not None:
            self._hand_over(key, signature, fetches, successor)

    def _hand_over(self, key: Hashable, signature: Stacking, fetches: Sequence[str], leader: Member) -> None:
        assert leader.later is not None
        threads = leader.later.threads
        threads.call(threads.submit, self._lead_on, key, signature, fetches, leader)

    def _lead(self, key: Hashable, signature: Stacking, fetches: Sequence[str], batch: list[Member]) -> Member | None:
        """Run a batch, let the next leader in, and give all their answers; returns a leader without a thread."""
        try:
            outcomes = self._run_batch(signature, fetches, batch)
        except Exception:  # noqa: BLE001 - whatever it is, those who wait are to get an answer
            outcomes = [unexpected()] * len(batch)
        successor = self._lanes.leave(key)
        for member, outcome in zip(batch, outcomes, strict=True):
            member.settle(outcome)
        if len(batch) > 1 and signature.is_stacked:
            self._auditor.offer(signature, fetches, [member.feeds for member in batch], outcomes)
        return successor

    def _give_up(self, key: Hashable, member: Member) -> None:
        if self._lanes.withdraw(key, member):
            member.settle(timed_out())

    def _run_batch(self, signature: Stacking, fetches: Sequence[str], batch: list[Member]) -> list[Outcome]:
        """Run a batch as one; when it fails its halves, so that in the end each failure is its own."""
        if len(batch) == 1 or not signature.is_stacked:
            return [self._alone(fetches, member) for member in batch]
        try:
            return list(self._stacked(signature, fetches, batch))
        except ServingError as error:
            if error.code == Code.DEADLINE_EXCEEDED:
                return [error] * len(batch)
        middle = len(batch) // 2
        return self._run_batch(signature, fetches, batch[:middle]) + self._run_batch(signature, fetches, batch[middle:])

    def _alone(self, fetches: Sequence[str], member: Member) -> Outcome:
        timeout_s = member.remaining()
        if timeout_s == 0.0:
            return timed_out()
        try:
            with self._permit(timeout_s):
                return self._runner.run(member.feeds, fetches, (), timeout_s)
        except ServingError as error:
            return error

    def _stacked(self, signature: Stacking, fetches: Sequence[str], batch: Sequence[Member]) -> list[list[Array]]:
        feeds = merging.merge([member.feeds for member in batch], 0, pad=False)
        limits = [member.remaining() for member in batch]
        timeout_s = None if None in limits else max(limit for limit in limits if limit is not None)
        with self._permit(timeout_s):
            values = self._runner.run(feeds, fetches, (), timeout_s)
        rows = [member.rows for member in batch]
        try:
            parts = merging.split(fetches, values, rows, 0)
        except ServingError as error:
            signature.stop(error.message)
            raise
        signature.ran(sum(rows))
        return [[part[name] for name in fetches] for part in parts]

    def _audited(self, feeds: Mapping[str, Array], fetches: Sequence[str]) -> list[Array]:
        with self._permit(None):
            return self._runner.run(feeds, fetches, (), None)

    @contextmanager
    def _permit(self, timeout_s: float | None) -> Iterator[None]:
        """Bound how many runs are under way: more threads than that wait in lanes."""
        if not self._runs.acquire(-1 if timeout_s is None else max(0.0, timeout_s)):
            raise timed_out()
        try:
            yield
        finally:
            self._runs.release()


def _waitable(timeout_s: float | None) -> float | None:
    """The time limit, or none where it is longer than locks can wait."""
    return None if timeout_s is not None and timeout_s > _FOREVER_S else timeout_s


def _may_share(signature: Stacking, feeds: Mapping[str, Array], rows: int) -> bool:
    """Whether a request may be run together with others."""
    return signature.is_stacked and 0 < rows <= MOST_ROWS and signature.fits(feeds)


def _key(signature: Stacking, feeds: Mapping[str, Array], fetches: Sequence[str]) -> Hashable:
    """What requests have in common that can be stacked."""
    tensors = sorted((name, value.dtype.str, value.shape[1:]) for name, value in feeds.items())
    return (id(signature), tuple(fetches), *tensors)


def _rows(feeds: Mapping[str, Array]) -> int:
    """The number of rows that all tensors share; 0 when there is none."""
    sizes = {value.shape[0] if value.ndim else 0 for value in feeds.values()}
    return sizes.pop() if len(sizes) == 1 else 0
