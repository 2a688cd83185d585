"""Finding the version that is to answer a request: an immutable picture of what is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from serving.errors import ServingError, invalid, not_found
from serving.version import Handle, Loaded

Labels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class View:
    """What requests can reach at one moment. It is replaced as a whole, so reading it takes no lock."""

    versions: Mapping[str, Mapping[int, Loaded]] = field(default_factory=dict)
    latest: Mapping[str, Loaded] = field(default_factory=dict)
    labels: Labels = field(default_factory=dict)

    def find(self, model: str, version: int | None, label: str | None) -> Loaded:
        """Return the version asked for; raises ServingError when it is not loaded."""
        if label is not None and version is None:
            version = self._labelled(model, label)
        if version is None:
            loaded = self.latest.get(model)
            wanted = f"Latest({model})"
        else:
            loaded = self.versions.get(model, {}).get(version)
            wanted = f"Specific({model}, {version})"
        if loaded is None:
            raise not_found(f"Servable not found for request: {wanted}")
        return loaded

    def _labelled(self, model: str, label: str) -> int:
        version = self.labels.get(model, {}).get(label)
        if version is None:
            raise _unknown_label(label)
        return version


def view_of(available: Mapping[str, Mapping[int, Loaded]], labels: Labels) -> View:
    """Build the view of the loaded versions: per model, number to version."""
    versions = {model: dict(loaded) for model, loaded in available.items() if loaded}
    latest = {model: loaded[max(loaded)] for model, loaded in versions.items()}
    return View(versions, latest, labels)


class Lease:
    """A context manager that holds a version for the time of a request.

    Entering raises ServingError when there is no such version.
    """

    __slots__ = ("_label", "_loaded", "_model", "_version", "_view")

    def __init__(self, view: Callable[[], View], model: str, version: int | None, label: str | None) -> None:
        self._view = view
        self._model = model
        self._version = version
        self._label = label

    def __enter__(self) -> Handle:
        if not self._model:
            raise invalid("ModelSpec has no name specified.")
        loaded = self._view().find(self._model, self._version, self._label)
        # A version that was retired since the view was read is not in the view that replaced it.
        while not loaded.pin():
            loaded = self._view().find(self._model, self._version, self._label)
        self._loaded = loaded
        return loaded.handle

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loaded.unpin()


def _unknown_label(label: str) -> ServingError:
    return invalid(f"Unrecognized servable version label: {label}")
