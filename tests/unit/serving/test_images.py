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


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_stray_byte_between_segments_hides_no_size() -> None:
    data = jpeg(37, 21)
    second = 4 + int.from_bytes(data[4:6], "big")
    for stray in (b"\0", b"\xff", b"\xff\x00", b"x" * 1000):
        assert images.pixels(data[:second] + stray + data[second:]) == 37 * 21


@pytest.mark.parametrize("hidden_by", range(1, 5))
def test_a_made_up_frame_header_hides_no_true_one(hidden_by: int) -> None:
    """The true one begins where the other one would have its height and width."""
    data = jpeg(37, 21)
    true = data.index(b"\xff\xc0\x00\x11\x08")
    made_up = b"\xff\xc0\x00\x11\x08" + bytes(4 - hidden_by)
    assert images.pixels(data[:true] + made_up + data[true:]) >= 37 * 21


def test_the_largest_frame_header_of_a_jpeg_counts() -> None:
    small, large = jpeg(8, 8), jpeg(37, 21)
    assert images.pixels(small + large) == images.pixels(large + small) == 37 * 21


def gif(frames: list[tuple[int, int]], screen: tuple[int, int], extension: bytes = b"") -> bytes:
    """A GIF with a table of two colours for the screen and for each frame; its pixels are not there."""
    table = b"\0\0\0\xff\xff\xff"
    made = [b"," + struct.pack("<HHHHB", 0, 0, *size, 0x80) + table + b"\x02\x01\x00\x00" for size in frames]
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + table + extension + b"".join(made) + b";"


@pytest.mark.parametrize(
    ("frames", "screen", "count"),
    [
        ([(9000, 9000)], (1, 1), 9000 * 9000),
        ([(1000, 1000)] * 400, (1000, 1000), 400 * 1000 * 1000),
        ([(1, 1), (50, 2)], (3, 40), 50 * 40 * 2),
        ([], (30, 40), 30 * 40),
    ],
)
def test_all_frames_of_a_gif_count(frames: list[tuple[int, int]], screen: tuple[int, int], count: int) -> None:
    assert images.pixels(gif(frames, screen)) == count
    comment = b"!\xfe" + b"\x03abc" * 3 + b"\x00"
    assert images.pixels(gif(frames, screen, comment)) == count


def test_frames_of_a_real_animation_count() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert images.pixels(buffer.getvalue()) == 3 * 30 * 20


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_gif_that_is_cut_off_is_no_fault(cut: int) -> None:
    assert images.pixels(gif([(5, 5)] * 2, (5, 5))[:-cut]) <= 50


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
