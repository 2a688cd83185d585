"""What every engine can do for the operator's commands, whether it is a process or a stack of containers."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from bundle.settings import Settings
from rollout.client import Client

LOOPBACK = "127.0.0.1"
_ANY_ADDRESS = {"0.0.0.0": LOOPBACK, "::": "::1"}


class Engine(abc.ABC):
    """Something that answers the TensorFlow Serving API for this bundle."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name

    def client(self) -> Client:
        """A client of this engine's ports."""
        host = _ANY_ADDRESS.get(self.settings.bind, self.settings.bind)
        return Client(host, self.settings.rest_port, self.settings.grpc_port)

    @abc.abstractmethod
    def is_running(self) -> bool:
        """Whether `start` was called and what it started is still there."""

    @abc.abstractmethod
    def preflight(self) -> None:
        """Raise BundleError for all that would make `start` fail; changes nothing."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start the server and the drop watcher; returns at once."""

    def complete(self) -> None:  # noqa: B027 - Docker starts again what has ended
        """Start what `start` has started and is not there any more, while the server runs."""

    def replace(self) -> bool:
        """Start anew beside the server that runs, without losing a request; False where that cannot be."""
        return False

    def what_is_wrong(self) -> list[str]:
        """A sentence for each process of it that does not do its work, with what to do."""
        return []

    def wait_healthy(self) -> None:  # noqa: B027 - a plain process has nobody who watches its health
        """Return once whatever starts the server again sees it as healthy; called when a version is AVAILABLE."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop both; requests in flight are answered first where the engine can."""

    @abc.abstractmethod
    def check_alive(self) -> None:
        """Raise BundleError with the end of its log when the server is gone."""

    def check_awake(self) -> None:  # noqa: B027 - Docker knows no such state of ours
        """Raise BundleError when the server is stopped by a signal, so that it is of no use to wait for it."""

    @abc.abstractmethod
    def train(self, arguments: Sequence[str]) -> int:
        """Run `trainer train` where this engine trains; returns its exit status."""

    @abc.abstractmethod
    def logs(self, follow: bool) -> None:
        """Print the log of the server and the drop watcher."""
