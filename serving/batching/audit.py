"""Looking back at some batches: is what each request was answered in company what it is answered alone?"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.batching.later import Outcome
from serving.batching.stacking import Stacking
from serving.errors import ServingError

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
RunAlone = Callable[[Feeds, Sequence[str]], list[Array]]
WaitUntilIdle = Callable[[float], object]

# What summing in another order does to an answer, as a share of its largest number; mixed rows differ by far more.
_TOLERANCES: Final = {2: 2e-2, 4: 1e-4, 8: 1e-9}
# A server that is never idle is audited all the same: it is the one whose requests are stacked.
_MOST_PATIENCE_S: Final = 5.0
# To look twice as long after as before would take a twentieth of the time in the first minute.
_LONGER: Final = 8

_thread: Final = ThreadPoolExecutor(1, "stacking-audit")


@dataclass
class _Turn:
    """When a signature is looked at next: after one batch, 8 more, 64 more, and so on up to the limit."""

    waited: int = 0
    pause: int = 1


class Auditor:
    """Runs one in `every` batches of a signature again, request by request, when nothing else waits; 0 turns it off.

    The first batches are looked at more often: most that is wrong shows soon. At most one audit is under way, and one
    of a version waits; a signature whose turn comes meanwhile has it with its next batch.
    """

    def __init__(self, run_alone: RunAlone, wait_until_idle: WaitUntilIdle, every: int) -> None:
        self._run_alone = run_alone
        self._wait_until_idle = wait_until_idle
        self._every = every
        self._turns: dict[Stacking, _Turn] = {}
        self._one_at_a_time = threading.Lock()
        self._running = threading.Lock()
        self._closed = False
        if every:
            # Started now: a worker that had to wait for it would be missed, and another one would be started for good.
            _thread.submit(int).result()

    def offer(
        self, signature: Stacking, fetches: Sequence[str], members: Sequence[Feeds], outcomes: Sequence[Outcome]
    ) -> None:
        """Look at a batch later, if it is its turn; the first one of a signature is among those."""
        turn = self._turns.setdefault(signature, _Turn())
        turn.waited += 1
        if not self._every or turn.waited < turn.pause or not self._one_at_a_time.acquire(blocking=False):
            return
        turn.waited, turn.pause = 0, min(turn.pause * _LONGER, self._every)
        answered = [pair for pair in zip(members, outcomes, strict=True) if not isinstance(pair[1], ServingError)]
        _thread.submit(self._audit, signature, tuple(fetches), answered)

    def close(self) -> None:
        """Return when no audit uses the version any more."""
        with self._running:
            self._closed = True

    def _audit(self, signature: Stacking, fetches: Sequence[str], answered: Sequence[tuple[Feeds, Any]]) -> None:
        try:
            patient_until = time.monotonic() + _MOST_PATIENCE_S
            for feeds, together in answered:
                self._wait_until_idle(patient_until - time.monotonic())
                difference = self._difference(fetches, feeds, together)
                if difference is None:
                    return
                if difference:
                    signature.audited(difference)
                    return
            signature.audited("")
        except Exception:
            log.exception("An audit failed")
        finally:
            self._one_at_a_time.release()

    def _difference(self, fetches: Sequence[str], feeds: Feeds, together: Sequence[Array]) -> str | None:
        """What differs for one request, empty when nothing does; None when the version is being closed."""
        with self._running:
            if self._closed:
                return None
            try:
                alone = self._run_alone(feeds, fetches)
            except ServingError as error:
                return f"alone it fails: {error.message}"
        for name, one, other in zip(fetches, alone, together, strict=True):
            if not agree(one, other):
                return f"output {name} differs by more than rounding"
        return ""


def agree(alone: Array, together: Array) -> bool:
    """Whether two answers differ by rounding at most."""
    if alone.shape != together.shape or alone.dtype != together.dtype:
        return False
    if alone.dtype.kind == "c":
        return agree(_parts(alone), _parts(together))
    tolerance = _TOLERANCES.get(alone.dtype.itemsize) if alone.dtype.kind in "fV" else None
    if tolerance is None:
        return bool(np.array_equal(alone, together))
    one, other = alone.astype(np.float64), together.astype(np.float64)
    finite = np.abs(one[np.isfinite(one)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    return bool(np.allclose(one, other, rtol=tolerance, atol=tolerance * scale, equal_nan=True))


def _parts(value: Array) -> Array:
    return np.stack([value.real, value.imag])
