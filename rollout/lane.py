"""One model's drops and trainings: noticed, waited for until they are whole, and released one after the other.

Each model has a thread of its own, so that none waits until another one's version was checked, loaded and watched. What
takes the CPU, the gate, lets only one of them in at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
import time
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.settings import Settings
from bundle.text import log_of
from rollout import release, trainings
from rollout.candidate import Finding, Fingerprint, Wholeness, arrived, examine, fingerprint
from rollout.drop import LONGEST_NAME, Dropbox
from rollout.interrupt import Interrupted
from rollout.model import Model
from rollout.postponed import Postponed
from rollout.trouble import Trouble, in_words, is_final

_PENDING_TICK_S = 0.25
_IDLE_TICK_S = 2.0
_PROVEN_QUIET_S = 0.5
# How many times as long as an incomplete entry one is tried again that the file system has trouble with.
_PATIENCE = 4

_Order = tuple[bool, int, float, int, list[Any]]

log = log_of("drop")


@dataclasses.dataclass
class Waiting:
    """A dropped entry that is being waited for: how it looked, and since when it looks like that."""

    looks: Fingerprint
    since: float
    finding: Finding | None = None


class Lane:
    """The thread that looks after the dropbox of one model, and after its trainings."""

    def __init__(self, box: Dropbox, settings: Settings) -> None:
        self.box = box
        self.settings = settings
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._waiting: dict[Path, Waiting] = {}
        self._on_disk: frozenset[int] | None = None
        self._warned: set[str] = set()
        self._troubles: dict[Path, Trouble] = {}
        self._looked = time.monotonic()
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"drop-{box.model.name}", daemon=True)

    @property
    def last_sign(self) -> float:
        """When it last looked round; now, while a version is released, which has limits of its own."""
        return time.monotonic() if self._busy else self._looked

    def start(self) -> None:
        """Look round in a thread of its own from now on."""
        if self._thread.ident is None:
            self._thread.start()

    def wake(self) -> None:
        """Something has changed: look."""
        self._wake.set()

    def stop(self) -> None:
        """End it soon: a check or a watch that is under way is interrupted."""
        self._stopping.set()
        self._wake.set()
        self.box.interruption.request()

    def join(self) -> None:
        """Return once it has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.look()
            except Interrupted:
                log.info("interrupted; what is under way for %s waits for the next start", self.box.model.name)
            except Exception as error:  # noqa: BLE001 - the next look may do better
                self._warn_once(f"drops of {self.box.model.name}: {in_words(error)}")
            self._wake.wait(_PENDING_TICK_S if self._waiting else _IDLE_TICK_S)
            if self._waiting:
                self._stopping.wait(_PENDING_TICK_S)  # A copy under way wakes us at every block it writes.

    def look(self) -> None:
        """Look once at every entry and act on those that are ready."""
        self._looked = time.monotonic()
        model = self.box.model
        try:
            self._catch_up(model)
            self._take_up_trainings(model)
        except Exception as error:  # noqa: BLE001 - drops do not wait for that
            self._warn_once(f"trainings of {model.name}: {in_words(error)}")
        seen = self._look_into(self.box)
        self._waiting = {entry: state for entry, state in self._waiting.items() if entry in seen}
        self._troubles = {entry: trouble for entry, trouble in self._troubles.items() if entry in seen}

    @contextlib.contextmanager
    def _releasing(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._looked = time.monotonic()
            self._busy = False

    def _look_into(self, box: Dropbox) -> set[Path]:
        """Act on the entries of a box in the order in which they came; returns those that were there."""
        try:
            present = list(box.entries())
        except OSError as error:
            self._warn_once(f"cannot look into {box.folder}: {in_words(error)}")
            return set()
        whole: list[tuple[_Order, Path, bool]] = []
        for entry in present:
            with self._isolated(box, entry):
                may_be_taken = self._is_ready(box, entry)
                if may_be_taken is not None:
                    whole.append((self._order(box, entry), entry, may_be_taken))
        for _, entry, may_be_taken in sorted(whole):
            if self._stopping.is_set() or not may_be_taken:
                break  # Whatever came later is not to overtake it.
            with self._isolated(box, entry), self._releasing():
                self._on_disk = None
                box.accept(entry)
                self._troubles.pop(entry, None)
        return set(present)

    def _order(self, box: Dropbox, entry: Path) -> _Order:
        """Those that were taken before come first; then by when they were seen to be complete, which no clock changes.

        Of several that were found in one look the file system's clock decides.
        """
        turn = box.turns.of(entry)
        since = self._waiting[entry].since if turn is None else 0.0
        return turn is None, turn or 0, since, arrived(entry), _natural(entry.name)

    @contextlib.contextmanager
    def _isolated(self, box: Dropbox, entry: Path) -> Iterator[None]:
        """Let nothing that goes wrong with one entry reach another one, or end the watcher."""
        try:
            yield
        except Interrupted:
            log.info("interrupted; %s/%s waits for the next start", box.model.name, entry.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is that entry's
            self._have_trouble(box, entry, error)

    def _have_trouble(self, box: Dropbox, entry: Path, error: Exception) -> None:
        self._waiting.pop(entry, None)
        _put_claims_back(box)
        if isinstance(error, FileNotFoundError) and not os.path.lexists(entry):
            return
        before = self._troubles.get(entry)
        trouble = Trouble.after(error, before)
        self._troubles[entry] = trouble
        if is_final(error, before, self.settings.drop_incomplete_seconds * _PATIENCE):
            self._refuse_for_good(box, entry, trouble)
        elif before is None or before.reason != trouble.reason:
            log.warning("%s/%s: %s; trying again", box.model.name, entry.name, trouble.reason)

    def _refuse_for_good(self, box: Dropbox, entry: Path, trouble: Trouble) -> None:
        """Have it out of the way, or where that cannot be, leave it alone from now on."""
        try:
            box.refuse(entry, trouble.reason)
            return
        except Exception as error:  # noqa: BLE001 - it is that entry's, as all that went before
            if isinstance(error, FileNotFoundError) and not os.path.lexists(entry):
                return
            _put_claims_back(box)
            if isinstance(error, OSError) and not is_final(error, None, inf):
                self._warn_once(f"{box.model.name}/{entry.name} is to be refused: {in_words(error)}; trying again")
                return
        try:
            box.leave(entry, trouble.reason)
            trouble.due = inf
        except OSError as error:
            self._warn_once(f"cannot write down why {box.model.name}/{entry.name} is refused: {in_words(error)}")

    def _catch_up(self, model: Model) -> None:
        """Have the ledger say what was put into the base path, or taken out, without a release."""
        on_disk = frozenset(model.folders())
        if self._on_disk == on_disk:
            return
        try:
            if release.catch_up(model):
                self._on_disk = frozenset(model.folders())
        except (BundleError, OSError) as error:
            self._warn_once(f"cannot note what is in {model.base_path}: {error}")

    def _take_up_trainings(self, model: Model) -> None:
        """Release the trainings that are staged, one after the other; what one raises holds up no other."""
        for name in trainings.staged(model.base_path):
            if self._stopping.is_set():
                return
            try:
                with self._releasing():
                    outcome = trainings.take_up(model, name, self.box.interruption)
            except OSError as error:
                self._warn_once(f"training {name} of {model.name}: {in_words(error)}; trying again")
                continue
            except BundleError as error:
                log.warning("training %s of %s: %s", name, model.name, error)
            else:
                if outcome is None:
                    continue
                if isinstance(outcome, Postponed):
                    log.warning("training %s of %s waits for another try; %s", name, model.name, outcome.in_words())
                else:
                    log.info("training %s of %s is live as version %d", name, model.name, outcome.number)
            self._on_disk = None

    def _is_ready(self, box: Dropbox, entry: Path) -> bool | None:
        """Whether `entry` may be taken now; None when it is not whole, so far, or has to wait for another reason."""
        trouble = self._troubles.get(entry)
        if box.has_to_wait(entry) or (trouble is not None and trouble.has_to_wait()):
            self._waiting.pop(entry, None)
            return None
        length = len(os.fsencode(entry.name))
        if length > LONGEST_NAME:
            box.refuse(entry, f"its name has {length} bytes; expected at most {LONGEST_NAME}: rename it")
            return None
        looks, state = fingerprint(entry), self._waiting.get(entry)
        if state is None or state.looks != looks:
            if state is None and trouble is None:
                log.info("noticed %s/%s; waiting until it is whole and quiet", box.model.name, entry.name)
            self._waiting[entry] = Waiting(looks, self._looked)
            return None
        quiet_s = time.monotonic() - state.since
        if quiet_s < _PROVEN_QUIET_S:
            return None
        state.finding = state.finding or examine(entry)
        return self._decide(box, entry, state.finding, quiet_s)

    def _decide(self, box: Dropbox, entry: Path, finding: Finding, quiet_s: float) -> bool | None:
        if finding.wholeness is Wholeness.INCOMPLETE:
            if quiet_s >= self.settings.drop_incomplete_seconds:
                box.refuse(entry, finding.problem)
            return None
        return finding.wholeness is Wholeness.PROVEN or quiet_s >= self.settings.drop_quiet_seconds

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning("%s", text)


def _put_claims_back(box: Dropbox) -> None:
    with contextlib.suppress(Exception):  # What is wrong is told by what is tried next.
        box.recover()


def _natural(name: str) -> list[Any]:
    """How names compare when their numbers are compared as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if number % 2 else (0, part) for number, part in enumerate(parts)]
