"""What happens to one dropped folder: claimed, and released as any version is; or quarantined with the reason.

A claim is a rename to a dotted name, so that nobody copies into a folder while it is checked. The number that a
claim is published under is written down before the version appears: a watcher that is killed in between finds out
at its next start whether the version went live, and publishes it neither twice nor not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bundle import files, publish
from bundle.errors import BundleError, RefusedVersion, UncheckedVersion
from bundle.text import log_of, printable
from bundle.versions import parse_version, quarantined_versions
from rollout import archive, release
from rollout.candidate import Wholeness, examine, locate
from rollout.gate import queue
from rollout.interrupt import Interrupted, Interruption
from rollout.model import Model
from rollout.postponed import Postponed, Postponements, looks_of, tries_over
from rollout.turns import Turns

CLAIM_PREFIX = ".checking-"
UNPACKED_PREFIX = ".unpacked-"
_NUMBER_PREFIX = ".published-"
_REASON_SUFFIX = ".reason.txt"
# File systems take 255 bytes.
LONGEST_NAME = 200

log = log_of("drop")


def fitting(name: str) -> str:
    """`name`, cut where it leaves no room for what is put before and behind it; another one for each name."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    return f"{os.fsdecode(encoded[: LONGEST_NAME - 9])}-{hashlib.sha256(encoded).hexdigest()[:8]}"


class Dropbox:
    """The folder drop/<Model>/ of one model."""

    def __init__(self, model: Model, interruption: Interruption | None = None) -> None:
        self.model = model
        self.interruption = interruption or Interruption()
        self.folder = model.settings.drop_dir / model.name
        self.postponements = Postponements(self.folder)
        self.turns = Turns(self.folder, model.settings.releases_dir / f"{model.name}.drops.json")

    def entries(self) -> Iterator[Path]:
        """What lies in the folder and is not ours: dotted names are claims, or copies under way."""
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))

    def recover(self) -> None:
        """Finish what a killed watcher left: forget claims that went live, put the others back."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for claim in self.folder.glob(f"{CLAIM_PREFIX}*"):
            name = claim.name.removeprefix(CLAIM_PREFIX)
            version = self._noted(name)
            if version is None:
                claim.rename(publish.free_name(self.folder, name))
                continue
            log.info("%s/%s was published as version %d before the restart", self.model.name, name, version)
            files.remove(claim)
            self._see_it_served(version, f"drop/{self.model.name}/{name}")
        for folder in self.folder.glob(f"{UNPACKED_PREFIX}*"):
            files.remove(folder)
        for note in self.folder.glob(f"{_NUMBER_PREFIX}*"):
            note.unlink()  # Left alone it would speak for the next drop of that name.
        self.turns.sweep()
        for name in self.postponements.all():
            if not (self.folder / name).exists():
                self.postponements.forget(name)

    def has_to_wait(self, entry: Path) -> bool:
        """Whether `entry` could not be checked and is to be tried again later; new content under its name is not."""
        note = self.postponements.of(entry.name, looks_of(entry))
        return note is not None and not note.is_due(time.time(), queue.is_there(self.model.settings))

    def accept(self, entry: Path) -> None:
        """Release `entry` as any version is; when that is refused it ends in quarantine with the reason.

        What could not be checked is put back, and noted for another try.
        """
        log.info("%s/%s is whole and quiet; checking it", self.model.name, entry.name)
        note = self.postponements.of(entry.name, looks_of(entry))
        turn = self.turns.give(entry)
        if self.turns.is_overtaken(turn):
            return self.refuse(entry, "a drop that came after it is live already; drop it again to have it follow")
        claim = self._claim(entry)
        try:
            with self._unpacked(claim) as folder:
                self._release(claim, self._saved_model(folder), turn)
        except release.Refused as error:
            self.refuse(claim, error.reason)
        except UncheckedVersion as error:
            self._put_off(claim, entry.name, note, error)
        except BundleError as error:
            if claim.exists():
                self.refuse(claim, str(error))
            else:
                log.warning("%s", error)
        except Interrupted:
            if claim.exists():
                claim.rename(publish.free_name(self.folder, entry.name))
            raise
        return None

    @contextlib.contextmanager
    def _unpacked(self, claim: Path) -> Iterator[Path]:
        """The folder that was claimed; of an archive what was in it, for as long as the block runs."""
        if not archive.is_archive(claim):
            yield claim
            return
        folder = self.folder / f"{UNPACKED_PREFIX}{claim.name.removeprefix(CLAIM_PREFIX)}"
        files.remove(folder)
        archive.unpack(claim, folder, self.interruption.look_up)
        try:
            yield folder
        finally:
            files.remove(folder)

    def _saved_model(self, folder: Path) -> Path:
        found, candidate = examine(folder, checksums=False), locate(folder)
        if candidate is None or found.wholeness is Wholeness.INCOMPLETE:
            raise RefusedVersion(found.problem or "it changed while it was claimed: its saved_model.pb is gone")
        return candidate

    def refuse(self, entry: Path, reason: str) -> None:
        """Move `entry` into quarantine with `reason` in a text file beside it."""
        name = entry.name.removeprefix(CLAIM_PREFIX)
        claim = entry if entry.name.startswith(CLAIM_PREFIX) else self._claim(entry)
        self.model.quarantine.mkdir(parents=True, exist_ok=True)
        # A bare number would count as a version that was once published.
        wanted = fitting(f"drop-{name}" if parse_version(name.split("-", 1)[0]) is not None else name)
        target = publish.free_name(self.model.quarantine, wanted)
        note = target.with_name(target.name + _REASON_SUFFIX)
        files.write_atomically(note, self._refusal(name, reason))
        try:
            publish.move(claim, target)
        except OSError:
            note.unlink(missing_ok=True)
            raise
        self.postponements.forget(name)
        self.turns.forget(name)
        log.warning("refused %s/%s: %s; it is in %s", self.model.name, name, reason, target)

    def leave(self, entry: Path, reason: str) -> None:
        """Refuse what cannot be moved: its reason goes to quarantine, once, and it stays where it is."""
        self.model.quarantine.mkdir(parents=True, exist_ok=True)
        text = self._refusal(entry.name, f"{reason}; it could not be moved either, and stays in {self.folder}")
        known = [
            note for note in self.model.quarantine.glob(f"*{_REASON_SUFFIX}") if note.read_bytes() == text.encode()
        ]
        if not known:
            target = publish.free_name(self.model.quarantine, fitting(f"drop-{entry.name}"))
            files.write_atomically(target.with_name(target.name + _REASON_SUFFIX), text)
        log.warning("refused %s/%s: %s; it cannot be moved and is left alone", self.model.name, entry.name, reason)

    def _refusal(self, name: str, reason: str) -> str:
        return printable(f"{self.model.name}/{name} was dropped and refused: {reason}") + "\n"

    def _put_off(self, claim: Path, name: str, note: Postponed | None, error: UncheckedVersion) -> None:
        over = tries_over(note, error)
        if over:
            return self.refuse(claim, over)
        self.postponements.forget(name)
        entry = claim.rename(publish.free_name(self.folder, name))
        tries = note.tries if note else 0
        pause_s = self.model.settings.check_retry_seconds
        new = self.postponements.put_off(entry.name, looks_of(entry), error, pause_s, tries)
        log.warning("%s/%s waits for another try; %s", self.model.name, entry.name, new.in_words())
        return None

    def _release(self, claim: Path, candidate: Path, turn: int) -> None:
        name = claim.name.removeprefix(CLAIM_PREFIX)
        number_file = self._number_file(name)

        def write_down(number: int) -> None:
            files.write_atomically(number_file, f"{number}\n")

        def forget_claim() -> None:
            self.turns.went_live(turn)
            files.remove(claim)
            self.postponements.forget(name)
            self.turns.forget(name)
            number_file.unlink(missing_ok=True)

        order = release.Order(
            candidate,
            f"drop/{self.model.name}/{name}",
            numbered=write_down,
            published=forget_claim,
            interruption=self.interruption,
        )
        version = release.release(self.model, order)
        log.info("%s/%s is live as version %d", self.model.name, name, version.number)

    def _see_it_served(self, number: int, origin: str) -> None:
        try:
            release.serve(self.model, number, release.Order(self.folder, origin))
        except BundleError as error:
            log.warning("%s", error)

    def _claim(self, entry: Path) -> Path:
        return entry.rename(publish.free_name(self.folder, f"{CLAIM_PREFIX}{fitting(entry.name)}"))

    def _noted(self, name: str) -> int | None:
        """The version that the claim of `name` was published as; None when it did not get that far."""
        note = self._number_file(name)
        version = parse_version(note.read_text(errors="replace").strip()) if note.is_file() else None
        lives = version is not None and (self.model.base_path / str(version)).is_dir()
        return version if lives or version in quarantined_versions(self.model.quarantine) else None

    def _number_file(self, name: str) -> Path:
        return self.folder / f"{_NUMBER_PREFIX}{name}"
