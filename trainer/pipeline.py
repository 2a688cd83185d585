"""Samples as batches of pixels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainer import pixels
from trainer.datasets.base import Samples

_CACHE_BYTES = 1 << 30


def batches(samples: Samples, size: int, batch_size: int) -> Any:
    """A tf.data.Dataset of (float32 [batch, size, size, 3], int64 [batch]) in the samples' order."""
    decoded = _decoded(_encoded(samples), samples, size)
    return _cached(decoded, samples, size).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def training_batches(samples: Samples, size: int, batch_size: int, seed: int, max_shift: float) -> Any:
    """As `batches`, in another order each epoch and every image shifted by up to `max_shift` of its side."""
    order: dict[str, Any] = {"buffer_size": len(samples), "seed": seed, "reshuffle_each_iteration": True}
    if _fits(samples, size):
        data = _cached(_decoded(_encoded(samples), samples, size), samples, size).shuffle(**order)
    else:
        data = _decoded(_encoded(samples).shuffle(**order), samples, size)
    border = round(max_shift * size)
    if border:
        seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
        data = tf.data.Dataset.zip(data, seeds).map(
            lambda sample, draw: (_shifted(sample[0], border, draw), sample[1]), tf.data.AUTOTUNE
        )
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _encoded(samples: Samples) -> Any:
    sources = [source if isinstance(source, bytes) else str(source) for source in samples.sources]
    return tf.data.Dataset.from_tensor_slices((tf.constant(sources, tf.string), samples.labels))


def _decoded(data: Any, samples: Samples, size: int) -> Any:
    on_disk = not isinstance(samples.sources[0], bytes)

    def load(source: Any, label: Any) -> tuple[Any, Any]:
        return pixels.decode(tf.io.read_file(source) if on_disk else source, size), label

    return data.map(load, tf.data.AUTOTUNE)


def _cached(data: Any, samples: Samples, size: int) -> Any:
    return data.cache() if _fits(samples, size) else data


def _fits(samples: Samples, size: int) -> bool:
    return len(samples) * size * size * 3 * 4 <= _CACHE_BYTES


def _shifted(image: Any, border: int, seed: Any) -> Any:
    padded = tf.pad(image, [[border, border], [border, border], [0, 0]], "SYMMETRIC")
    return tf.image.stateless_random_crop(padded, tf.shape(image), seed)
