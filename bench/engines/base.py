"""What an engine is: something that answers for one model, and can be held still."""

from __future__ import annotations

import abc
import dataclasses

from bench.cases import Case, Model
from bench.processes import Tree
from bench.sample import Sample


@dataclasses.dataclass(frozen=True)
class Address:
    """Where an engine listens; without `grpc_port` it has no gRPC."""

    host: str
    rest_port: int
    grpc_port: int | None = None


class Engine(abc.ABC):
    """One model, loaded and ready; to be closed.

    `tree` is None when its processes are not known: its CPU time and memory are not measured then, and it cannot be
    held still. `start_s` is the time from its start until it could answer, None when somebody else started it.
    """

    def __init__(self, name: str, model: Model, tree: Tree | None) -> None:
        self.name = name
        self.model = model
        self.tree = tree
        self.start_s: float | None = None

    @abc.abstractmethod
    def answers(self, case: Case) -> bool:
        """Whether it can be measured in `case`."""

    @abc.abstractmethod
    def warm_up(self, case: Case) -> float:
        """Load it for a moment; returns roughly how many images per second it does."""

    @abc.abstractmethod
    def measure(self, case: Case, seconds: float, generator: str) -> Sample:
        """One slice of about `seconds`; `generator` is wrk or own."""

    def hold(self) -> None:
        """Keep it from using any CPU."""
        if self.tree is not None:
            self.tree.stop()

    def resume(self) -> None:
        """Let it run again."""
        if self.tree is not None:
            self.tree.resume()

    @abc.abstractmethod
    def close(self) -> None:
        """End what was started for it."""
