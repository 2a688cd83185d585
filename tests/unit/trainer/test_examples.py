"""Which held-out images travel with a version, and that they stay small."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from trainer import examples
from trainer.datasets.base import Samples

SIDE = 256


def noise(number: int) -> bytes:
    """A picture that no format makes smaller."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "BMP")
    return file.getvalue()


def test_classes_take_turns_as_long_as_they_have_images() -> None:
    labels = np.repeat(np.arange(3), [200, 5, 50])
    chosen = examples.choose(Samples(tuple(b"" for _ in labels), labels), seed=1)
    assert list(np.bincount(chosen.labels)) == [145, 5, 50]


def test_large_pictures_are_fewer_but_never_less_than_32() -> None:
    many = Samples(tuple(noise(n % 3) for n in range(40)), np.zeros(40, np.int64))
    kept = examples.as_png(many, 32)
    size = sum(len(kept.content(index)) for index in range(len(kept)))
    assert len(kept) == len(kept.labels) == 32
    assert size > 4 << 20
    few = Samples(many.sources[:10], many.labels[:10])
    assert len(examples.as_png(few, 32)) == 10
