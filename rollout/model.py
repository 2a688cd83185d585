"""One model as the commands that change it see it: its folders, its ledger, and the server that answers for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from bundle.errors import BundleError
from bundle.models_config import base_path_of
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import ledger, stack
from rollout.client import STATUS_TIMEOUT_S, Client
from rollout.engines.base import Engine


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of models.config. `client` is None when no server runs; `check_alive` raises when it is gone."""

    name: str
    base_path: Path
    settings: Settings
    client: Client | None
    check_alive: Callable[[], None] = lambda: None

    @property
    def quarantine(self) -> Path:
        """Where its refused and withdrawn versions go."""
        return self.settings.quarantine_dir / self.name

    @property
    def ledger(self) -> ledger.Ledger:
        """What happened to its versions."""
        return ledger.of(self.settings, self.name)

    @property
    def config(self) -> Path:
        """The models.config that lists it."""
        return self.settings.root / "models.config"

    def folders(self) -> dict[int, Path]:
        """Its published versions that hold a SavedModel, ascending; candidates of a canary are not among them."""
        found = version_folders(self.base_path).items()
        return {number: path for number, path in found if number > 0 and (path / "saved_model.pb").is_file()}

    def live(self) -> int | None:
        """The version that answers who names none; without a server the one that would: the highest on disk."""
        folders = self.folders()
        served = [number for number in self.available() if number in folders]
        return max(served or folders, default=None)

    def live_folder(self) -> Path | None:
        """The folder of the live version."""
        live = self.live()
        return None if live is None else self.folders().get(live)

    def available(self) -> list[int]:
        """The versions that the server has AVAILABLE, highest first; none when nothing answers."""
        try:
            return self.loaded()
        except BundleError:
            return []

    def loaded(self) -> list[int]:
        """The same, but raises Unreachable when there is a server and it does not answer."""
        return self.client.within(STATUS_TIMEOUT_S).available(self.name) if self.client else []


def find(settings: Settings) -> Model:
    """The model MODEL_NAME, with the server that `make up` started when it runs.

    Raises UsageError when another folder was given for this call than that server has.
    """
    engine = stack.running(settings)
    if engine is not None:
        stack.require_same_folders(settings, engine)
    return served(settings, engine)


def served(settings: Settings, engine: Engine | None) -> Model:
    """The model MODEL_NAME as `engine` serves it, or without a server."""
    name = settings.model_name
    if engine is None:
        return Model(name, base_path_of(name, settings.root / "models.config", settings.models_dir), settings, None)
    own = engine.settings
    base_path = base_path_of(name, own.root / "models.config", own.models_dir)
    return Model(name, base_path, own, engine.client(), engine.check_alive)
