"""How long the variable files of a SavedModel must be, read from their index without TensorFlow.

The index is a table as LevelDB writes it, not compressed: blocks of (key, value), the last of which leads to the rest.
Every value but that of the header is a BundleEntryProto, which says where in which data file a variable ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_BYTES = 48
_SHARD, _OFFSET, _SIZE = 3, 4, 5  # Fields of BundleEntryProto.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def cut_off(folder: Path) -> str:
    """Which data file in the folder `variables` ends before its index says; empty when none does.

    Says nothing of an index that it cannot read: loading tells.
    """
    try:
        needed = _bytes_needed((folder / "variables.index").read_bytes())
    except (OSError, ValueError, IndexError, struct.error):
        return ""
    for shard, size in sorted(needed.items()):
        for path in folder.glob(f"variables.data-{shard:05d}-of-*"):
            found = path.stat().st_size
            if found < size:
                return f"variables/{path.name} has {found} bytes, its index needs {size}"
    return ""


def _bytes_needed(table: bytes) -> dict[int, int]:
    """Data file number to the end of the last variable in it."""
    footer = table[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or footer[-len(_MAGIC) :] != _MAGIC:
        raise ValueError("no table")
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    ends: dict[int, int] = {}
    for _, value in _entries(_block(table, index)):
        for key, entry in _entries(_block(table, _handle(value, 0)[0])):
            if key:  # The header has the empty key.
                fields = _numbers(entry)
                shard, end = fields.get(_SHARD, 0), fields.get(_OFFSET, 0) + fields.get(_SIZE, 0)
                ends[shard] = max(ends.get(shard, 0), end)
    return ends


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the next thing begins."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _block(table: bytes, handle: tuple[int, int]) -> bytes:
    offset, size = handle
    if table[offset + size] != 0:
        raise ValueError("compressed")
    return table[offset : offset + size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; a key is stored as what differs from the one before."""
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = _varint(block, at)
        more, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + more]
        at += more
        yield key, block[at : at + length]
        at += length


def _numbers(message: bytes) -> dict[int, int]:
    """The varint fields of a proto by their numbers."""
    found, at = {}, 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            found[tag >> 3], at = _varint(message, at)
        elif kind == _BYTES:
            length, at = _varint(message, at)
            at += length
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("no proto")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
