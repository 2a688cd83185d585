"""What a trained model answers on samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer import pipeline
from trainer.datasets.base import Samples

_BATCH = 64


def logits(model: Any, samples: Samples, size: int) -> NDArray[np.float32]:
    """Float32 [samples, classes], computed on the CPU: the reference must not depend on a GPU's rounding."""
    call = tf.function(lambda images: model(images, training=False), autograph=False, reduce_retracing=True)
    with tf.device("/CPU:0"):
        parts = [call(images).numpy() for images, _ in pipeline.batches(samples, size, _BATCH)]
    answers: NDArray[np.float32] = np.concatenate(parts)
    return answers


def accuracy(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of samples whose largest logit is the true class's."""
    return float(np.mean(np.argmax(answers, axis=-1) == labels))


def confusion(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    """Counts by [true class][predicted class]."""
    classes = answers.shape[-1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, np.argmax(answers, axis=-1)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)
