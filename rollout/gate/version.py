"""A version under examination: its manifest, its examples, and its worker with typed answers."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle import documents, manifest
from bundle.errors import BundleError
from rollout.gate.process import Died, Failed, Worker
from rollout.gate.signatures import Question, Signature
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
    """What the replay of the warm-up records took, and how many there were."""

    records: float


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
class Example:
    """A held-out image and the index of its class."""

    image: Path
    label: int


class Version:
    """A version folder and the worker that holds it. Every method may raise what Worker.request raises."""

    def __init__(self, folder: Path, worker: Worker) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.examples = _examples(folder, self.manifest)
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

    def answers(self, question: Question, images: Sequence[Path]) -> tuple[tuple[float, ...], ...]:
        """A row of numbers, one per class, for each image."""
        rows: tuple[tuple[float, ...], ...] = self._ask(
            tuple[tuple[float, ...], ...],
            "ask",
            signature=question.signature,
            output=question.output,
            images=_texts(images),
        )
        if len(rows) != len(images) or len(set(map(len, rows))) != 1 or not rows[0]:
            raise Failed(f"it gave {len(rows)} answers to {len(images)} images")
        return rows

    def durations(self, signature: str, batch: int, images: Sequence[Path], runs: int) -> tuple[float, ...]:
        """Seconds that each of `runs` runs of a batch took."""
        seconds: tuple[float, ...] = self._ask(
            tuple[float, ...], "time", signature=signature, batch=batch, images=_texts(images), runs=runs
        )
        return seconds

    def _ask(self, kind: Any, do: str, **arguments: Any) -> Any:
        answer = self._worker.request(do, **arguments)
        try:
            return documents.read_as(kind, answer, f"its answer to {do}")
        except ValueError as error:
            raise Died(f"its process answered something else than it was asked: {error}") from None


def read_manifest(folder: Path) -> manifest.Manifest | None:
    """The manifest of a version; None when it has none that can be read."""
    try:
        return manifest.read(folder)
    except BundleError:
        return None


def _examples(folder: Path, document: manifest.Manifest | None) -> list[Example]:
    found = document.examples if document is not None else ()
    return [Example((folder / manifest.FOLDER / each.image).absolute(), each.label) for each in found]


def _texts(images: Sequence[Path]) -> list[str]:
    return [str(image) for image in images]
