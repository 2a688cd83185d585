"""What an encoded image says of itself, before it is decoded: what would be seen in it, and how it is to be turned."""

from __future__ import annotations

import io
import struct
from typing import Final

from PIL import Image

UPRIGHT: Final = 1
"""The EXIF orientation of a picture that needs no turn; there are seven others."""

_ORIENTATION_TAG: Final = 0x0112
_BMP_HEADER: Final = struct.Struct("<2s 12x I 4x i 2x H I")
# That of the file, and the shortest one that the decoder knows.
_BMP_HEADERS: Final = 14 + 40
_BMP_SIZES: Final = (24, 32)
_BMP_PLAIN: Final = (0, 3)  # Not compressed: as it is, or with masks.

# The limit that counts is the server's.
Image.MAX_IMAGE_PIXELS = None


def orientation(content: bytes) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 where it says nothing."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            found = image.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    except Exception:  # noqa: BLE001 - it has no such data, or damaged ones, for which readers have many errors
        return UPRIGHT
    return found if isinstance(found, int) and 1 <= found <= 8 else UPRIGHT


def why_not(content: bytes) -> str:
    """Why TensorFlow's decoder, which serving uses, would see another picture than people do; empty if it would not."""
    return _why_no_bitmap(content) if content[:2] == b"BM" else ""


def _why_no_bitmap(content: bytes) -> str:
    if len(content) < _BMP_HEADERS:
        return "it is cut off"
    _, header, _, bits, compression = _BMP_HEADER.unpack_from(content)
    if header < 40:
        return f"it is a bitmap with a header of {header} bytes; convert it to PNG"
    if compression not in _BMP_PLAIN:
        return "it is a compressed bitmap, which cannot be served; convert it to PNG"
    if bits == 8 and _is_grey(content, header):
        return ""
    if bits not in _BMP_SIZES:
        return f"it is a bitmap of {bits} bits a pixel, whose colours serving would not see; convert it to PNG"
    return ""


def _is_grey(content: bytes, header: int) -> bool:
    """Whether the palette of a bitmap is the shades of grey in order, which is what the decoder takes it for."""
    (used,) = struct.unpack_from("<I", content, 46)
    palette = content[14 + header : 14 + header + 4 * min(used or 256, 256)]
    return all(palette[4 * n : 4 * n + 3] == bytes([n, n, n]) for n in range(len(palette) // 4))
