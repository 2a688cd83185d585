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
from serving import effects, warmup
from serving.codec import dtypes, tensorproto
from serving.errors import ServingError

Array = npt.NDArray[Any]
# A signature and its tensors.
Found = tuple[str, dict[str, Array]]

_DEFAULT: Final = "serving_default"
_MOST_ROWS: Final = 4
# The side of a made-up picture; most image networks take it.
_PICTURE: Final = 32
_MOST_NUMBERS: Final = 10_000_000
_MOST_TEXTS: Final = 64


@dataclass(frozen=True)
class Probe:
    """What to feed and to fetch, by tensor name."""

    signature: str
    feeds: Mapping[str, Array]
    fetches: tuple[str, ...]


def typical(path: Path, meta_graph: Any) -> list[Probe]:
    """Up to one probe for each signature that leaves nothing behind; what it takes to answer, requests take as well.

    Each has one row if that can be. No promise that the graph takes what it is fed.
    """
    found: dict[str, Probe] = {}
    signatures = _to_be_tried(meta_graph)
    for name, tensors in chain(_recorded(path), _example(path, signatures), _made_up(signatures)):
        signature = signatures.get(name)
        if signature is not None and name not in found and set(tensors) == set(signature.inputs):
            feeds = {signature.inputs[alias].name: value for alias, value in tensors.items()}
            fetches = tuple(info.name for info in signature.outputs.values())
            found[name] = Probe(name, feeds, fetches)
        if len(found) == len(signatures):
            break  # Records of large batches are slow to read.
    return list(found.values())


def _to_be_tried(meta_graph: Any) -> dict[str, Any]:
    """The signatures that may be; first the one that most requests ask for, as it answers faster afterwards."""
    offered = sorted(meta_graph.signature_def.items(), key=lambda item: (item[0] != _DEFAULT, item[0]))
    return {
        name: signature
        for name, signature in offered
        if signature.inputs and not name.startswith("__") and effects.leaves_nothing(meta_graph, signature)
    }


def _recorded(path: Path) -> Iterator[Found]:
    """The predict requests among the warm-up records; broken records are for the warm-up to report."""
    try:
        for request in warmup.predict_requests(path):
            tensors = {alias: tensorproto.to_array(proto) for alias, proto in request.inputs.items()}
            if _have_rows(tensors):
                tensors = {alias: value[:1] for alias, value in tensors.items()}
            if all(value.ndim == 0 or len(value) <= _MOST_ROWS for value in tensors.values()):
                yield request.model_spec.signature_name or _DEFAULT, tensors
    except (ServingError, tensorproto.Unparsable):
        return


def _have_rows(tensors: Mapping[str, Array]) -> bool:
    """Whether all tensors have the same number of rows, so that they surely can be cut."""
    return all(value.ndim for value in tensors.values()) and len({len(value) for value in tensors.values()}) == 1


def _example(path: Path, signatures: Mapping[str, Any]) -> Iterator[Found]:
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


def _made_up(signatures: Mapping[str, Any]) -> Iterator[Found]:
    """Numbers and pictures, where they are as large as requests are: all sizes are given, or it is a picture."""
    for name, signature in signatures.items():
        tensors = {alias: _values(info) for alias, info in signature.inputs.items() if _is_typical(info)}
        complete = {alias: value for alias, value in tensors.items() if value is not None}
        if len(complete) == len(signature.inputs):
            yield name, complete


def _values(info: Any) -> Array | None:
    if info.WhichOneof("encoding") != "name":
        return None
    # One row where their number is open.
    shape = (1,) if info.tensor_shape.unknown_rank else tuple(abs(int(dim.size)) for dim in info.tensor_shape.dim)
    if info.dtype == dtypes.STRING:
        return np.full(shape, picture(), dtype=object) if math.prod(shape) <= _MOST_TEXTS else None
    dtype = dtypes.JSON.get(info.dtype)
    if dtype is None or math.prod(shape) > _MOST_NUMBERS:
        return None
    values = np.random.default_rng(0).random(shape)
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values > 0.5).astype(dtype)


def _is_typical(info: Any) -> bool:
    """Whether a row is always of the same size, or a string, for which a picture stands."""
    shape = info.tensor_shape
    return info.dtype == dtypes.STRING or not (shape.unknown_rank or any(dim.size < 0 for dim in shape.dim[1:]))


def picture(number: int = 0) -> bytes:
    """A grey PNG, another one for each number: what strings mostly are here, and as good a text as any other."""
    size = _PICTURE
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(range(row, row + size)) for row in range(number, number + size)))
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
