"""The picture that every request carries: a photograph, at the size that the model sees."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray

_LARGEST_PNG = 64


@cache
def pixels(size: int) -> NDArray[np.uint8]:
    """RGB [size, size, 3]."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photo = Image.fromarray(load_sample_image("china.jpg"))
    return np.asarray(photo.resize((size, size), Image.Resampling.LANCZOS))


@cache
def encoded(size: int) -> bytes:
    """The same as a file: PNG where that is what small pictures come as, JPEG of quality 90 above 64 pixels."""
    from PIL import Image

    file = io.BytesIO()
    image = Image.fromarray(pixels(size))
    if size <= _LARGEST_PNG:
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=90)
    return file.getvalue()
