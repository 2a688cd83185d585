"""A version under examination: its manifest, its examples, and its worker with typed answers."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle import documents
from rollout.gate import heldout
from rollout.gate.answers import Rows
from rollout.gate.process import Died, Worker
from rollout.gate.signatures import Signature
from rollout.gate.use import Use


@dataclasses.dataclass(frozen=True)
class Description:
    """What a SavedModel says about itself, and what the process that read it could not be kept from.

    `uses` has one node for each of `operations`, and those that misuse an operation which is allowed otherwise.
    """

    made_with: str
    loaded_with: str
    operations: tuple[str, ...]
    signatures: dict[str, Signature]
    unrestricted: tuple[str, ...]
    uses: tuple[Use, ...] = ()
    ambiguities: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a step took."""

    seconds: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Replay(Cost):
    """What the replay of the warm-up records took, how many there were, and of which signatures.

    `not_finite` are the outputs that were NaN or infinite.
    """

    records: float
    signatures: tuple[str, ...]
    not_finite: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class MadeWarmup:
    """A warm-up file in base64, and the signatures that got no record, each with the reason."""

    file: str
    records: int
    without: dict[str, str]

    def content(self) -> bytes:
        """The file's bytes."""
        return base64.b64decode(self.file)


@dataclasses.dataclass(frozen=True)
class Output:
    """What one output of a signature answered to a set of images.

    `width` is how many numbers it gives for each image, -1 when it gives no vector; `not_finite` are the images that
    got a NaN or an infinity; `mismatch` says how it differs from its declaration; `rows` is empty unless they were
    asked for and each image got one, `words` unless each got a string or an integer.
    """

    kind: str
    per_image: bool
    width: int
    not_finite: tuple[int, ...]
    varies: bool
    rows: Rows
    words: tuple[str, ...]
    mismatch: str


@dataclasses.dataclass(frozen=True)
class _Output:
    """The same as the worker sends it."""

    kind: str
    per_image: bool
    width: int
    not_finite: tuple[int, ...]
    varies: bool
    rows: str
    words: tuple[str, ...]
    mismatch: str

    def read(self, images: int, classes: int) -> Output:
        """The output with its rows, one for each of `images`."""
        values = np.frombuffer(base64.b64decode(self.rows, validate=True), "<f8")
        shape = (images, classes) if len(values) else (0, 0)
        if len(self.words) not in (0, images):
            raise ValueError(f"{len(self.words)} words for {images} images")
        return Output(**{**dataclasses.asdict(self), "rows": values.reshape(shape)})


@dataclasses.dataclass(frozen=True)
class Mixed:
    """What one output of a signature answered to the same rows alone, in threes and in sixteens.

    `per_image`, `not_finite` and `doubtful` are batch sizes; the last had a NaN or an infinity for rows that it may not
    have to answer. `never_finite` says that there was no number at all. `apart` is the largest difference between an
    answer alone and in company, `changes` that between equal requests, both as a share of the largest number.
    """

    kind: str
    asked: tuple[int, ...]
    per_image: tuple[int, ...]
    not_finite: tuple[int, ...]
    doubtful: tuple[int, ...]
    never_finite: bool
    widths: tuple[int, ...]
    apart: float
    changes: float
    mismatch: str


class Version:
    """A version folder and the worker that holds it. Every method may raise what Worker.request raises."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self.folder = folder
        self.manifest = heldout.read_manifest(folder)
        self.held_out = heldout.of_version(folder)
        self._worker = worker

    def describe(self) -> Description:
        """What the graph says about itself; nothing of it is run."""
        description: Description = self._ask(Description, "describe")
        return description

    def load(self) -> Cost:
        """Load it, without warming it up."""
        cost: Cost = self._ask(Cost, "load")
        return cost

    def warm_up(self) -> Replay:
        """Replay its warm-up records."""
        replay: Replay = self._ask(Replay, "warm_up")
        return replay

    def make_warmup(self, model: str, images: Sequence[Path]) -> MadeWarmup:
        """Make the warm-up file that it lacks."""
        made: MadeWarmup = self._ask(MadeWarmup, "make_warmup", model=model, images=_texts(images))
        return made

    def answers(self, signature: str, images: Sequence[Path], classes: int) -> dict[str, Output]:
        """What each output of a signature answers to images, with its rows where they are of `classes` numbers."""
        found = self._ask(dict[str, _Output], "ask", signature=signature, images=_texts(images), classes=classes)
        try:
            return {alias: each.read(len(images), classes) for alias, each in found.items()}
        except ValueError as error:
            raise Died(f"its process answered with other rows than it was asked for: {error}") from None

    def mixed(self, signature: str, images: Sequence[Path]) -> dict[str, Mixed]:
        """What each output of a signature answers alone and in company, to `images` and distorted or made-up ones."""
        found: dict[str, Mixed] = self._ask(dict[str, Mixed], "mix", signature=signature, images=_texts(images))
        return found

    def durations(self, signature: str, batch: int, images: Sequence[Path], runs: int) -> tuple[float, ...]:
        """Seconds that each of `runs` runs of a batch took."""
        seconds: tuple[float, ...] = self._ask(
            tuple[float, ...], "time", signature=signature, batch=batch, images=_texts(images), runs=runs
        )
        return seconds

    def _ask(self, kind: Any, do: str, **arguments: Any) -> Any:
        answer = self._worker.request(do, **arguments)
        try:
            return documents.convert(answer, kind)
        except ValueError as error:
            raise Died(f"its process answered something else than it was asked to {do}: {error}") from None


def _texts(images: Sequence[Path]) -> list[str]:
    return [str(image) for image in images]
