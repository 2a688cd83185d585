"""Refusing encoded images that would decode to more memory than a server can spare.

A PNG of a few kilobytes can stand for gigabytes of pixels; the size is in its first bytes.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy.typing as npt

from bundle.pictures import MAX_PIXELS
from serving.errors import Code, ServingError

Array = npt.NDArray[Any]

MAX_PIXELS_PER_REQUEST = 1 << 28

_SIZE = struct.Struct(">HH")
# The marker of a frame, its length, its bits per sample, its height and width. The sizes are only looked ahead at:
# another header may begin within them, and be the true one.
_JPEG_FRAME = re.compile(
    rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]\x00[\x08-\x26][\x08\x0c\x10](?=(....))", re.DOTALL
)
_GIF_FRAME, _GIF_EXTENSION, _GIF_END = b",", b"!", b";"


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
    """How many pixels TensorFlow's decoders make of a PNG, JPEG, GIF or BMP, all frames; 0 for anything else.

    Where a file says several things, the largest that a decoder may believe counts.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        elif data.startswith(b"GIF8"):
            return _gif(data)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        else:
            return 0
    except struct.error:
        return 0
    return int(abs(width) * abs(height))


def _jpeg(data: bytes) -> int:
    """The decoder skips what is no marker, so each place that could be a frame's header is looked at."""
    return max((height * width for height, width in map(_SIZE.unpack, _JPEG_FRAME.findall(data))), default=0)


def _gif(data: bytes) -> int:
    """The largest width times the largest height, of the screen and all frames, for every frame.

    The decoder reads each frame at its own size, and brings it to that of the first. A frame that is cut off counts.
    """
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _colours(flags)
    frames = 0
    while at < len(data) and data[at : at + 1] != _GIF_END:
        if data[at : at + 1] == _GIF_FRAME:
            frames += 1
            frame_width, frame_height, flags = struct.unpack_from("<HHB", data.ljust(at + 10, b"\0"), at + 5)
            width, height = max(width, frame_width), max(height, frame_height)
            at = _behind_blocks(data, at + 11 + _colours(flags))
        elif data[at : at + 1] == _GIF_EXTENSION:
            at = _behind_blocks(data, at + 2)
        else:
            break  # The decoder ends here as well.
    return int(width * height * max(1, frames))


def _colours(flags: int) -> int:
    """The size of the table of colours that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    """Where a chain of blocks ends."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _too_large(found: str, limit: int) -> ServingError:
    return ServingError(
        Code.RESOURCE_EXHAUSTED, f"The request has {found}; at most {limit} are decoded. Send it smaller"
    )
