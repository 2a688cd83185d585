"""Refusing encoded images that would decode to more memory than a server can spare.

A PNG of a few kilobytes can stand for gigabytes of pixels; the size is in its first bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy.typing as npt

from bundle.pictures import MAX_PIXELS
from serving.errors import Code, ServingError

Array = npt.NDArray[Any]

MAX_PIXELS_PER_REQUEST = 1 << 28

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def check(value: Array) -> None:
    """Raise ServingError RESOURCE_EXHAUSTED if the strings in `value` are images with too many pixels."""
    total = 0
    for item in value.reshape(-1):
        count = pixels(item)
        total += count
        if count > MAX_PIXELS:
            raise _too_large(f"an image of {count} pixels", MAX_PIXELS)
    if total > MAX_PIXELS_PER_REQUEST:
        raise _too_large(f"images of {total} pixels altogether", MAX_PIXELS_PER_REQUEST)


def pixels(data: bytes) -> int:
    """Return width times height of a PNG, JPEG, GIF or BMP as its header says; 0 for anything else."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8\xff"):
            width, height = _jpeg(data)
        elif data.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        else:
            return 0
    except struct.error:
        return 0
    return int(abs(width) * abs(height))


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        (marker,) = struct.unpack_from(">H", data, at)
        if marker >> 8 != 0xFF:
            return 0, 0
        kind = marker & 0xFF
        if kind == 0xFF:
            at += 1
        elif kind in _JPEG_BARE:
            at += 2
        elif kind in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + length


def _too_large(found: str, limit: int) -> ServingError:
    return ServingError(
        Code.RESOURCE_EXHAUSTED, f"The request has {found}; at most {limit} are decoded. Send it smaller"
    )
