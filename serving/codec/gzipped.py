"""Bodies that were compressed with gzip."""

from __future__ import annotations

import zlib

_MAX_INFLATED = 100 << 20


def inflate(data: bytes | bytearray) -> bytes:
    """The content; what cannot be decompressed, or is larger than 100 MiB, is empty, as on the real server."""
    inflater, inflated = _begin(data, _MAX_INFLATED)
    whole = inflater is not None and inflater.eof and not inflater.unused_data and len(inflated) <= _MAX_INFLATED
    return inflated if whole else b""


def is_longer(data: bytes | bytearray, size: int) -> bool:
    """Whether the content has more than `size` bytes, for which no more than these are decompressed."""
    return len(_begin(data, size)[1]) > size


def _begin(data: bytes | bytearray, size: int) -> tuple[zlib._Decompress | None, bytes]:
    inflater = zlib.decompressobj(wbits=31)
    try:
        return inflater, inflater.decompress(data, size + 1)
    except zlib.error:
        return None, b""
