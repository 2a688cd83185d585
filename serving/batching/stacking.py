"""Whether requests of a signature may be stacked, on what grounds, and what came of it.

Three grounds: its graph proves that rows do not influence each other (batching/rows), the manifest of the version
declares it, or the operator orders it. A signature that changes state is never stacked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt

from bundle import manifest
from bundle.errors import BundleError
from serving.batching import graph
from serving.batching.rows import proof
from serving.errors import invalid

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Grounds = Literal["proved", "declared", "ordered", "none"]

_WORDS: Final = {
    "proved": "its graph keeps rows apart",
    "declared": "its manifest says that rows are apart",
    "ordered": "--stack_requests orders it",
}


@dataclass(frozen=True)
class Orders:
    """What --stack_requests names: whole models, and single signatures."""

    models: frozenset[str] = frozenset()
    signatures: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Orders:
        """Read `Model` or `Model:signature`, separated by commas; raises ServingError for anything else."""
        entries = [entry.strip().partition(":") for entry in text.split(",")] if text else []
        if any(not model or (colon and not signature) for model, colon, signature in entries):
            raise invalid(f"--stack_requests={text}: expected Model or Model:signature, separated by commas")
        return cls(
            frozenset(model for model, colon, _ in entries if not colon),
            frozenset((model, signature) for model, colon, signature in entries if colon),
        )

    def cover(self, model: str, signature: str) -> bool:
        """Whether a signature of a model is among them."""
        return model in self.models or (model, signature) in self.signatures

    def unknown(self, model: str, signatures: Iterable[str]) -> list[str]:
        """The signatures ordered for `model` that it does not have."""
        return sorted(name for of, name in self.signatures if of == model and name not in set(signatures))


@dataclass(frozen=True)
class Subject:
    """The version that is loaded, as its model is called in the configuration."""

    model: str
    version: int
    path: Path


class Stacking:
    """One signature: the grounds on which its requests are stacked, or the reason why not; thread-safe."""

    def __init__(self, subject: Subject, name: str, signature: Any, grounds: Grounds, reason: str = "") -> None:
        self.model = subject.model
        self.version = subject.version
        self.name = name
        self.feeds = frozenset(info.name for info in signature.inputs.values())
        self.fetches = frozenset(info.name for info in signature.outputs.values())
        self._shapes = {info.name: _sides(info) for info in signature.inputs.values()}
        self.grounds = grounds
        self.reason = reason
        self.batches = self.rows = self.audits = self.differences = 0
        self._lock = threading.Lock()

    @property
    def is_stacked(self) -> bool:
        """Whether requests may share a batch now."""
        return self.grounds != "none"

    @property
    def is_stacked_because(self) -> str:
        """The grounds, for the metrics."""
        return self.grounds

    def fits(self, feeds: Mapping[str, Array]) -> bool:
        """Whether tensors for `feeds` have the shapes that it declares; no grounds say anything of others."""
        return all(_is_of(value.shape, self._shapes[name]) for name, value in feeds.items())

    def ran(self, rows: int) -> None:
        """Count a batch of several requests."""
        with self._lock:
            self.batches += 1
            self.rows += rows

    def audited(self, difference: str) -> None:
        """Count an audit; one that found a difference ends stacking for good."""
        if difference:
            self.stop(f"an audit found another answer in company than alone: {difference}")
        with self._lock:
            self.audits += 1
            self.differences += bool(difference)

    def stop(self, reason: str) -> None:
        """Stack no more, as long as this version is loaded."""
        log.error("%s: requests are run one by one from now on: %s", self._title, reason)
        self.grounds, self.reason = "none", reason

    def tell(self) -> None:
        """Say in the log what is done with requests, and why."""
        if self.is_stacked:
            log.info("%s: stacked: %s", self._title, _WORDS[self.grounds])
        else:
            log.info("%s: runs one by one: %s", self._title, self.reason)

    @property
    def _title(self) -> str:
        return f"{self.model} version {self.version}, signature {self.name}"


def _sides(info: Any) -> tuple[int | None, ...] | None:
    """The declared size of each dimension, None for one that is open; None when the rank is."""
    if not info.HasField("tensor_shape") or info.tensor_shape.unknown_rank:
        return None
    return tuple(dim.size if dim.size >= 0 else None for dim in info.tensor_shape.dim)


def _is_of(shape: tuple[int, ...], sides: tuple[int | None, ...] | None) -> bool:
    if sides is None:
        return True
    return len(shape) == len(sides) and all(side in (None, size) for size, side in zip(shape, sides, strict=True))


def decide(subject: Subject, meta_graph: Any, orders: Orders) -> list[Stacking]:
    """What is done with the requests of each signature of a version; says so in the log."""
    signatures = {name: s for name, s in meta_graph.signature_def.items() if not name.startswith("__")}
    for name in orders.unknown(subject.model, signatures):
        log.warning("--stack_requests names %s:%s; the version has %s", subject.model, name, ", ".join(signatures))
    declared = _declared(subject.path)
    decisions = []
    for name, signature in sorted(signatures.items()):
        ordered = orders.cover(subject.model, name)
        grounds, reason = _grounds(meta_graph, signature, ordered, name in declared)
        decisions.append(Stacking(subject, name, signature, grounds, reason))
        decisions[-1].tell()
    return decisions


def _grounds(meta_graph: Any, signature: Any, ordered: bool, declared: bool) -> tuple[Grounds, str]:
    reason = _obstacle(meta_graph, signature)
    if reason:
        return "none", reason
    if ordered or declared:
        return ("ordered" if ordered else "declared"), ""
    reason = proof.why_not(meta_graph, signature)
    return ("none" if reason else "proved"), reason


def _obstacle(meta_graph: Any, signature: Any) -> str:
    """What forbids stacking whoever says that rows are apart; empty when nothing does."""
    for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
        if not infos:
            return f"it has no {kind}"
        for alias, info in infos.items():
            if not graph.has_open_rows(info):
                return f"{kind} `{alias}` does not go by rows: its first dimension is not open"
    changing = graph.changing_ops(meta_graph, signature)
    return f"it may change state or draw at random: {', '.join(f'`{op}`' for op in changing)}" if changing else ""


def _declared(path: Path) -> tuple[str, ...]:
    try:
        document = manifest.read(path)
    except (BundleError, OSError) as error:
        log.warning("What the manifest declares about rows counts for nothing: %s", error)
        return ()
    return document.row_wise if document else ()
