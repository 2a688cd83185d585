"""What a training needs to go on after its process has ended: one file in its run, written anew after each epoch.

Everything is packed in memory and written in one go, so that a full disk is an error like any other: a zip file that
cannot be written complains once more when the process ends, and HDF5, in which Keras keeps weights, crashes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError
from trainer import resume
from trainer.best import BestEpoch

NAME = resume.CHECKPOINT
_FACTS = "facts"

Array = NDArray[Any]
Rows = tuple[Mapping[str, float], ...]


@dataclasses.dataclass(frozen=True)
class Saved:
    """A training as it was after an epoch: weights, the optimiser's state, and the best epoch's weights and facts."""

    dataset: str
    history: Rows
    best: Mapping[str, Any]
    weights: list[Array]
    optimizer: list[Array]
    best_weights: list[Array]

    def restore(self, model: Any, best: BestEpoch) -> None:
        """Bring a compiled model of the same kind, and the memory of its best epoch, to this state."""
        model.optimizer.build(model.trainable_variables)
        model.set_weights(self.weights)
        for variable, value in zip(model.optimizer.variables, self.optimizer, strict=True):
            variable.assign(value)
        best.restore(self.best, self.best_weights)


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Writes the checkpoint of a run after each epoch; `before` are the epochs of the processes before this one."""

    def __init__(self, run: Path, dataset: str, best: BestEpoch, before: Rows) -> None:
        super().__init__()
        self._path = run / NAME
        self._dataset = dataset
        self._best = best
        self._rows: list[Mapping[str, float]] = list(before)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write it; a process that is killed meanwhile leaves the one of the epoch before."""
        del epoch
        self._rows.append({name: float(value) for name, value in logs.items()})
        facts = {"dataset": self._dataset, "history": self._rows, "best": self._best.facts()}
        arrays = {_FACTS: np.frombuffer(json.dumps(facts).encode(), np.uint8)}
        arrays |= _numbered("weights", self.model.get_weights())
        arrays |= _numbered("optimizer", [np.asarray(variable) for variable in self.model.optimizer.variables])
        arrays |= _numbered("best", self._best.weights)
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        write(self._path, packed)


def write(path: Path, packed: io.BytesIO) -> None:
    """Write a file whole, or not at all; one that was there stays until then."""
    scratch = path.with_name(f".{path.name}")
    try:
        scratch.write_bytes(packed.getbuffer())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def read(run: Path) -> Saved:
    """The checkpoint of a run; raises BundleError when it cannot be read."""
    path = run / NAME
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(file[_FACTS].tobytes())
            parts = [_listed(file, part) for part in ("weights", "optimizer", "best")]
        return Saved(facts["dataset"], tuple(facts["history"]), facts["best"], *parts)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read: {error}; train anew, without RESUME") from error


def forget(run: Path) -> None:
    """Remove the checkpoint of a run that has ended well."""
    with contextlib.suppress(FileNotFoundError):
        (run / NAME).unlink()


def _numbered(part: str, arrays: list[Array]) -> dict[str, Array]:
    return {f"{part}-{number}": array for number, array in enumerate(arrays)}


def _listed(file: Mapping[str, Array], part: str) -> list[Array]:
    count = sum(name.startswith(f"{part}-") for name in file)
    return [file[f"{part}-{number}"] for number in range(count)]
