"""Inputs to try a version with before it serves: its own warm-up records and examples, or made-up ones."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bundle import manifest
from bundle.errors import BundleError
from serving import warmup
from serving.batching import graph
from serving.codec import dtypes, tensorproto
from serving.errors import ServingError

Array = npt.NDArray[Any]

_MOST_ROWS: Final = 4
# Answers to two different rows show more than one; most image networks take 32 pixels.
_ROWS: Final = 2
_UNKNOWN_DIMENSION: Final = 32
_MOST_ELEMENTS: Final = 10_000_000


@dataclass(frozen=True)
class Probe:
    """What to feed and to fetch, by tensor name."""

    signature: str
    feeds: Mapping[str, Array]
    fetches: tuple[str, ...]


def of_version(path: Path, meta_graph: Any) -> list[Probe]:
    """One probe for each signature that changes nothing, as far as there are or can be guessed inputs for it.

    No promise that the graph takes them.
    """
    probes: dict[str, Probe] = {}
    signatures = {name: s for name, s in meta_graph.signature_def.items() if _can_be_tried(name, s, meta_graph)}
    for name, tensors in chain(_recorded(path), _example(path, signatures), _made_up(signatures)):
        signature = signatures.get(name)
        if signature is not None and name not in probes and set(tensors) == set(signature.inputs):
            feeds = {signature.inputs[alias].name: value for alias, value in tensors.items()}
            probes[name] = Probe(name, feeds, tuple(info.name for info in signature.outputs.values()))
        if len(probes) == len(signatures):
            break  # Records of large batches are slow to read.
    return list(probes.values())


def _can_be_tried(name: str, signature: Any, meta_graph: Any) -> bool:
    return bool(signature.inputs) and not name.startswith("__") and not graph.changes_state(meta_graph, signature)


def _recorded(path: Path) -> Iterator[tuple[str, dict[str, Array]]]:
    """The predict requests among the warm-up records that are small; broken records are for the warm-up to report."""
    try:
        for request in warmup.predict_requests(path):
            tensors = {alias: tensorproto.to_array(proto) for alias, proto in request.inputs.items()}
            if all(value.ndim == 0 or len(value) <= _MOST_ROWS for value in tensors.values()):
                yield request.model_spec.signature_name or "serving_default", tensors
    except (ServingError, tensorproto.Unparsable):
        return


def _example(path: Path, signatures: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Array]]]:
    """A held-out image of the manifest, for each signature whose only input is strings."""
    try:
        document = manifest.read(path)
        images = [path / manifest.FOLDER / example.image for example in document.examples[:1]] if document else []
        encoded = [image.read_bytes() for image in images]
    except (BundleError, OSError):
        return
    for name, signature in signatures.items():
        if encoded and [info.dtype for info in signature.inputs.values()] == [dtypes.STRING]:
            yield name, {next(iter(signature.inputs)): np.array(encoded, dtype=object)}


def _made_up(signatures: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Array]]]:
    """Numbers and pictures."""
    for name, signature in signatures.items():
        tensors = {alias: _values(info) for alias, info in signature.inputs.items()}
        complete = {alias: value for alias, value in tensors.items() if value is not None}
        if len(complete) == len(tensors):
            yield name, complete


def _values(info: Any) -> Array | None:
    if info.dtype == dtypes.STRING and info.WhichOneof("encoding") == "name":
        return np.full(_shape(info.tensor_shape), picture(), dtype=object)
    dtype = dtypes.JSON.get(info.dtype)
    if dtype is None or info.WhichOneof("encoding") != "name":
        return None
    shape = _shape(info.tensor_shape)
    if math.prod(shape) > _MOST_ELEMENTS:
        return None
    values = np.random.default_rng(0).random(shape)
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values > 0.5).astype(dtype)


def _shape(shape: Any) -> tuple[int, ...]:
    if shape.unknown_rank:
        return (_ROWS,)
    sizes = [int(dim.size) for dim in shape.dim]
    unknown = [_ROWS] + [_UNKNOWN_DIMENSION] * len(sizes)
    return tuple(size if size >= 0 else unknown[axis] for axis, size in enumerate(sizes))


def picture(number: int = 0) -> bytes:
    """A grey PNG, another one for each number: what strings mostly are here, and as good a text as any other."""
    size = _UNKNOWN_DIMENSION
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(range(row, row + size)) for row in range(number, number + size)))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
