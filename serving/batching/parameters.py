"""The values of a BatchingParameters message, with the defaults of the real server."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from serving import textproto
from serving.errors import invalid
from serving.flags import CPUS

PER_MODEL_FILE: Final = "batching_params.pbtxt"

_NO_FILE_POOL: Final = "model_server_batch_threads"


@dataclass(frozen=True)
class Parameters:
    """How requests are put into batches; sizes are rows of dimension 0."""

    max_batch_size: int = 1000
    batch_timeout_s: float = 0.0
    max_enqueued_batches: int = 10
    num_batch_threads: int = CPUS
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    split_large_batches: bool = False
    max_execution_batch_size: int = 1000

    def check(self) -> None:
        """Raise INVALID_ARGUMENT when the allowed sizes contradict the limits."""
        sizes = self.allowed_batch_sizes
        if not sizes:
            return
        last = f"last entry was {sizes[-1]}; expected"
        if self.split_large_batches and sizes[-1] != self.max_execution_batch_size:
            raise invalid(
                "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size;"
                f" {last} {self.max_execution_batch_size}"
            )
        if not self.split_large_batches and sizes[-1] != self.max_batch_size:
            raise invalid(f"Last entry in allowed_batch_sizes must match max_batch_size; {last} {self.max_batch_size}")
        if any(after <= before for before, after in pairwise(sizes)) or sizes[0] < 1:
            raise invalid(f"allowed_batch_sizes must be positive and increasing; they are {list(sizes)}")

    def rounded_up(self, rows: int) -> int:
        """The size with which a batch of `rows` rows is run."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def from_file(path: str | Path) -> Parameters:
    """Read a text proto; raises ServingError when it cannot be read or has impossible values."""
    message = textproto.read(path, textproto.BatchingParameters)
    _check(message)
    return _from_message(message)


def without_file() -> Parameters:
    """What `--enable_batching` alone means."""
    return Parameters(thread_pool_name=_NO_FILE_POOL)


def _from_message(message: Any) -> Parameters:
    wrapped = {
        "max_batch_size": "max_batch_size",
        "max_enqueued_batches": "max_enqueued_batches",
        "num_batch_threads": "num_batch_threads",
        "thread_pool_name": "thread_pool_name",
        "enable_large_batch_splitting": "split_large_batches",
    }
    given: dict[str, Any] = {
        ours: getattr(message, name).value for name, ours in wrapped.items() if message.HasField(name)
    }
    if message.HasField("batch_timeout_micros"):
        given["batch_timeout_s"] = message.batch_timeout_micros.value / 1e6
    largest = given.get("max_batch_size", Parameters.max_batch_size)
    splits = given.get("split_large_batches", False)
    limited = splits and message.HasField("max_execution_batch_size")
    return Parameters(
        **given,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        max_execution_batch_size=message.max_execution_batch_size.value if limited else largest,
    )


def _check(message: Any) -> None:
    """Refuse values of which some make the real server crash."""
    for name in ("num_batch_threads", "max_batch_size", "max_execution_batch_size"):
        _at_least(message, name, 1)
    _at_least(message, "batch_timeout_micros", 0)
    largest = message.max_batch_size.value if message.HasField("max_batch_size") else Parameters.max_batch_size
    if message.max_execution_batch_size.value > largest:
        raise invalid(
            f"max_execution_batch_size must not exceed max_batch_size; they are"
            f" {message.max_execution_batch_size.value} and {largest}"
        )


def _at_least(message: Any, name: str, lowest: int) -> None:
    if message.HasField(name):
        value = getattr(message, name).value
        if value < lowest:
            raise invalid(f"{name} must be {'positive' if lowest else 'non-negative'}; was {value}")
