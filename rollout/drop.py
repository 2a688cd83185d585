"""What happens to one dropped folder: claimed, checked, published, seen AVAILABLE; or quarantined with the reason.

A claim is a rename to a dotted name, so that nobody copies into a folder while it is checked. The number that a
claim is published under is written down before the version appears: a watcher that is killed in between finds out
at its next start whether the version went live, and publishes it neither twice nor not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from bundle import files, publish
from bundle.errors import BundleError
from bundle.settings import Settings
from bundle.versions import parse_version, quarantined_versions, version_folders
from rollout import check, waiting
from rollout.candidate import locate
from rollout.client import Client

CLAIM_PREFIX = ".checking-"
_NUMBER_PREFIX = ".published-"
_REASON_SUFFIX = ".reason.txt"

log = logging.getLogger("drop")


class Dropbox:
    """The folder drop/<Model>/ of one model."""

    def __init__(self, settings: Settings, client: Client, model: str, base_path: Path) -> None:
        self.settings = settings
        self.client = client
        self.model = model
        self.base_path = base_path
        self.folder = settings.drop_dir / model
        self.quarantine = settings.quarantine_dir / model

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
            log.info("%s/%s was published as version %d before the restart", self.model, name, version)
            files.remove(claim)
            self._see_it_served(version)
        for note in self.folder.glob(f"{_NUMBER_PREFIX}*"):
            note.unlink()  # Left alone it would speak for the next drop of that name.

    def accept(self, entry: Path) -> None:
        """Check and publish `entry`; whatever goes wrong, it ends in quarantine with the reason."""
        log.info("%s/%s is whole and quiet; checking it", self.model, entry.name)
        claim = self._claim(entry)
        candidate = locate(claim)
        if candidate is None:
            return self.refuse(claim, "it changed while it was claimed: its saved_model.pb is gone")
        verdict = check.run(candidate, self._live_folder(), self.settings.check_timeout_seconds)
        if not verdict.passed:
            return self.refuse(claim, verdict.reason)
        try:
            self._publish(claim, candidate)
        except BundleError as error:
            self.refuse(claim, str(error))
        return None

    def refuse(self, entry: Path, reason: str) -> None:
        """Move `entry` into quarantine with `reason` in a text file beside it."""
        name = entry.name.removeprefix(CLAIM_PREFIX)
        claim = entry if entry.name.startswith(CLAIM_PREFIX) else self._claim(entry)
        self.quarantine.mkdir(parents=True, exist_ok=True)
        # A bare number would count as a version that was once published.
        wanted = f"drop-{name}" if parse_version(name.split("-", 1)[0]) is not None else name
        target = publish.free_name(self.quarantine, wanted)
        text = f"{self.model}/{name} was dropped and refused: {reason}\n"
        files.write_atomically(target.with_name(target.name + _REASON_SUFFIX), text)
        publish.move(claim, target)
        log.warning("refused %s/%s: %s; it is in %s", self.model, name, reason, target)

    def _publish(self, claim: Path, candidate: Path) -> None:
        name = claim.name.removeprefix(CLAIM_PREFIX)
        number_file = self._number_file(name)

        def write_down(number: int) -> None:
            files.write_atomically(number_file, f"{number}\n")

        version = publish.publish(candidate, self.base_path, self.quarantine, write_down)
        log.info("published %s/%s as version %d", self.model, name, version.number)
        files.remove(claim)
        number_file.unlink(missing_ok=True)
        self._see_it_served(version.number)

    def _see_it_served(self, number: int) -> None:
        try:
            waiting.until_available(
                self.client, self.model, number, self.settings.ready_timeout_seconds, lambda: self._still_there(number)
            )
            log.info("%s version %d is AVAILABLE", self.model, number)
        except waiting.LoadFailed as error:
            target = publish.withdraw(self.base_path, number, self.quarantine, str(error))
            log.warning("withdrew %s version %d: %s; it is in %s", self.model, number, error, target)
        except BundleError as error:
            log.warning("%s version %d is published but not served yet: %s", self.model, number, error)

    def _still_there(self, number: int) -> None:
        if not (self.base_path / str(number)).is_dir():
            raise BundleError(f"version {number} was taken out of {self.base_path} by somebody else")

    def _live_folder(self) -> Path | None:
        """The version whose signatures clients rely on: the one that answers, else the highest on disk."""
        folders = {
            n: path for n, path in version_folders(self.base_path).items() if (path / "saved_model.pb").is_file()
        }
        try:
            served = [number for number in self.client.available(self.model) if number in folders]
        except BundleError:
            served = []
        live = served[0] if served else max(folders, default=None)
        return None if live is None else folders[live]

    def _claim(self, entry: Path) -> Path:
        return entry.rename(publish.free_name(self.folder, f"{CLAIM_PREFIX}{entry.name}"))

    def _noted(self, name: str) -> int | None:
        """The version that the claim of `name` was published as; None when it did not get that far."""
        note = self._number_file(name)
        version = parse_version(note.read_text(errors="replace").strip()) if note.is_file() else None
        lives = version is not None and (self.base_path / str(version)).is_dir()
        return version if lives or version in quarantined_versions(self.quarantine) else None

    def _number_file(self, name: str) -> Path:
        return self.folder / f"{_NUMBER_PREFIX}{name}"
