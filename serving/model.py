"""One model: its versions and what its policy wants of them. Guarded by the manager's lock."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving import policy
from serving.config import ModelSettings
from serving.errors import Code, ServingError
from serving.storage import Scan
from serving.version import Loaded, State, Version

log = logging.getLogger(__name__)


class Model:
    """The versions of a model that are, or ever were, aspired. Those that ended stay listed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: ModelSettings | None = None
        self.versions: dict[int, Version] = {}
        self.found: Mapping[int, Path] = {}
        self.problem: ServingError | None = None
        self._remarks: tuple[str, ...] = ()
        self._times_listed = 0
        self._served_when = 0

    def configure(self, settings: ModelSettings | None) -> None:
        """Take over an entry of models.config; None when the model is not listed any more."""
        before, self.settings = self.settings, settings
        if before is None and settings is not None:
            self._times_listed += 1
        if settings is None or before is None:
            self.found, self.problem, self._remarks = {}, None, ()
            for version in self.versions.values():
                version.failing = False

    def listing(self) -> Listing:
        """This time that it is listed, to see what becomes of it."""
        return Listing(self, self._times_listed)

    def note_available(self) -> None:
        """Remember that it served, this time that it is listed."""
        self._served_when = self._times_listed

    def is_listed(self, time: int) -> bool:
        """Whether it is listed, and since the given time that it was."""
        return self.settings is not None and self._times_listed == time

    def has_served(self, time: int) -> bool:
        """Whether it serves, or did so, since the given time that it was listed."""
        return self._served_when >= time or (self._times_listed == time and bool(self.available()))

    def take(self, found: Scan | ServingError) -> None:
        """Take over what is on disk; when it cannot be read, what was found before stays in force."""
        if isinstance(found, ServingError):
            if self.problem is None or self.problem.message != found.message:
                log.error("FileSystemStoragePathSource encountered a filesystem access error: %s", found.message)
            self.problem = found
            return
        if self.problem is not None:
            log.info("The base path of %s can be read now", self.name)
        self._warn_new(found.remarks)
        self.found, self.problem = found.versions, None
        for number, version in self.versions.items():
            if number not in found.versions:
                version.failing = False

    def retry(self, mended: Iterable[Version]) -> None:
        """Give versions whose content has changed another chance."""
        for version in mended:
            if version.job is not None:
                version.job.content_changed()
            elif version.failing:
                log.info("The content of %s has changed: %s may be loaded again", version.path, version)
                version.failing = False

    def update_aspired(self) -> None:
        """Mark which versions are wanted now."""
        wanted = self._wanted()
        for number, version in self.versions.items():
            if version.aspired and number not in wanted:
                self._drop(version)
        for number in wanted:
            self._aspire(number)

    def available(self) -> dict[int, Loaded]:
        """The versions that requests may use."""
        return {
            number: version.loaded
            for number, version in self.versions.items()
            if version.loaded is not None and version.state is State.AVAILABLE
        }

    def available_and_aspired(self) -> set[int]:
        """The numbers of the versions that serve and are wanted."""
        return {number for number in self.available() if self.versions[number].aspired}

    @property
    def expects_versions(self) -> bool:
        """Whether it is meant to serve anything."""
        chosen = self.settings.policy if self.settings else None
        return chosen is not None and chosen != policy.Specific(frozenset())

    @property
    def aspired(self) -> list[Version]:
        """The versions that are wanted, the highest first."""
        return sorted(
            (version for version in self.versions.values() if version.aspired),
            key=lambda version: -version.number,
        )

    @property
    def settled(self) -> bool:
        """Whether it serves, or nothing that is on disk can be expected to serve soon."""
        return bool(self.available()) or all(version.failing for version in self.aspired)

    @property
    def failure(self) -> Version | ServingError | None:
        """Why it never will serve what is on disk now; None while it serves or there is hope."""
        if self.available() or not all(version.given_up for version in self.aspired):
            return None
        if self.aspired:
            return self.aspired[0]
        return self.problem or ServingError(Code.NOT_FOUND, " ".join(self._remarks) or "no version was found")

    def _wanted(self) -> set[int]:
        if self.settings is None:
            return set()
        failing = {number for number, version in self.versions.items() if version.failing}
        return policy.aspired(self.settings.policy, self.found, failing)

    def _aspire(self, number: int) -> None:
        path = self.found[number]
        version = self.versions.get(number)
        if version is None:
            version = self.versions[number] = Version(self.name, number, path)
        if version.aspired:
            return
        version.aspired = True
        if version.state is State.END and not version.failing:
            version.set(State.START)
        if version.loaded is None and version.job is None:
            version.path = path
        elif version.path != path:
            log.warning("%s stays loaded from %s; %s is ignored", version, version.path, path)

    def _drop(self, version: Version) -> None:
        version.aspired = False
        if version.job is not None:
            version.job.cancel()

    def _warn_new(self, remarks: tuple[str, ...]) -> None:
        for remark in remarks:
            if remark not in self._remarks:
                log.warning("%s", remark)
        self._remarks = remarks


@dataclass(frozen=True)
class Listing:
    """A model from the moment that a configuration lists it until one does not. Guarded as the model is."""

    model: Model
    time: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def is_decided(self) -> bool:
        """Whether it is known if the model came to serve."""
        return self.model.has_served(self.time) or self.was_taken_off or bool(self.model.failure)

    @property
    def was_taken_off(self) -> bool:
        """Whether a configuration took it away before it served."""
        return not self.model.has_served(self.time) and not self.model.is_listed(self.time)

    @property
    def failure(self) -> Version | ServingError | None:
        """Why it never will serve what is on disk, when it is meant to serve anything."""
        model = self.model
        if model.has_served(self.time) or self.was_taken_off or not model.expects_versions:
            return None
        return model.failure
