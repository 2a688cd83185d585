"""MNIST: 70,000 handwritten digits of 28x28 pixels, downloaded once by Keras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle.settings import Settings
from trainer.datasets import png
from trainer.datasets.base import Dataset, Samples
from trainer.downloads import downloading


def load(settings: Settings) -> Dataset:
    """Keras's copy of MNIST with its own test set; raises BundleError when it cannot be downloaded."""
    del settings
    import keras

    with downloading("the MNIST digits", "set DATASET=digits, which needs no network"):
        (train, train_labels), (test, test_labels) = keras.datasets.mnist.load_data()
    classes = tuple(str(digit) for digit in range(10))
    return Dataset("mnist", classes, _samples(train, train_labels), _samples(test, test_labels))


def _samples(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Samples:
    return Samples(tuple(png.encode(image) for image in images), labels.astype(np.int64))
