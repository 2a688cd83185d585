"""The sizes in the headers of encoded images."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from serving import images
from serving.errors import Code, ServingError


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_sizes_of_real_images(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (37, 21)).save(buffer, kind)
    assert images.pixels(buffer.getvalue()) == 37 * 21


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\x00\x00" * 3, b"GIF89a", b"BM\0"],
)
def test_what_is_no_image_has_no_pixels(data: bytes) -> None:
    assert images.pixels(data) == 0


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def test_a_huge_image_is_refused() -> None:
    images.check(np.array([png(8192, 8192)], dtype=object))
    with pytest.raises(ServingError) as caught:
        images.check(np.array([[b"text", png(8192, 8193)]], dtype=object))
    assert caught.value.code == Code.RESOURCE_EXHAUSTED


def test_many_large_images_are_refused() -> None:
    images.check(np.array([png(8192, 8192)] * 4, dtype=object))
    with pytest.raises(ServingError):
        images.check(np.array([png(8192, 8192)] * 5, dtype=object))
