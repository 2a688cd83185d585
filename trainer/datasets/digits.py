"""The 1,797 handwritten digits that come with scikit-learn: 8x8 pixels, grey, no network needed."""

from __future__ import annotations

import numpy as np

from bundle.settings import Settings
from trainer.datasets import png
from trainer.datasets.base import Dataset, Samples
from trainer.splits import stratified

_TEST_SHARE = 0.2
# Not SEED: versions trained with different seeds must be compared on the same test images.
_TEST_SEED = 0
_BRIGHTEST = 16


def load(settings: Settings) -> Dataset:
    """White digits on black, one fifth of every class as the test set."""
    del settings
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    samples = Samples(tuple(png.encode(image) for image in pixels), digits.target.astype(np.int64))
    train, test = stratified(samples.labels, _TEST_SHARE, _TEST_SEED)
    classes = tuple(str(name) for name in digits.target_names)
    return Dataset("digits", classes, samples.take(train), samples.take(test))
