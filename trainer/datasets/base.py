"""What every dataset is: encoded images with a class index, so that training sees exactly what serving will decode."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Source = bytes | Path
"""One encoded image: its bytes, or the file that holds them."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """Encoded images and their class indices, in the same order.

    `orientations` are how they are to be turned, as EXIF counts; None when all are upright.
    """

    sources: tuple[Source, ...]
    labels: NDArray[np.int64]
    orientations: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.labels):
            raise ValueError(f"{len(self.sources)} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Samples:
        """The samples at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        turns = None if self.orientations is None else self.orientations[chosen]
        return Samples(tuple(self.sources[i] for i in indices), self.labels[chosen], turns)

    def orientation(self, index: int) -> int:
        """How the image at `index` is to be turned."""
        return 1 if self.orientations is None else int(self.orientations[index])

    def content(self, index: int) -> bytes:
        """The encoded image at `index`."""
        source = self.sources[index]
        return source if isinstance(source, bytes) else source.read_bytes()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A labelled dataset; the test samples are never trained on, whatever the seed."""

    name: str
    classes: tuple[str, ...]
    train: Samples
    test: Samples

    def fingerprint(self) -> str:
        """Hex digest that changes when any class name, image, label or the test split changes."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for part in (self.train, self.test):
            digest.update(f"{len(part)};".encode())
            for index, label in enumerate(part.labels):
                digest.update(hashlib.sha256(part.content(index)).digest() + b"%d;" % label)
        return digest.hexdigest()
