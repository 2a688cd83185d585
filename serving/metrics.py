"""What the server counts, under the real server's metric names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def runtime(model: str, api: str) -> Iterator[None]:
    """Measure one session run."""
    yield


def examples(model: str, count: int) -> None:
    """Count the examples of a request."""


def request(model: str, status: str) -> None:
    """Count an answered request by the name of its status code."""


def latency(model: str, api: str, entrypoint: str, seconds: float) -> None:
    """Record how long a successful request took."""


def values(names: Iterable[str]) -> dict[str, int]:
    """The present value of each counter in `names`; 0 for what is no counter."""
    return dict.fromkeys(names, 0)
