"""Samples as batches of pixels."""

from __future__ import annotations

import math
import os
from typing import Any

import tensorflow as tf

from trainer import pixels
from trainer.datasets.base import Samples

_CACHE_BYTES = 1 << 30

# How far a training image is moved at most. For LeNet on a thousand digits this is worth one or two points of test
# accuracy.
_SHIFT = 0.07
_TURN_DEGREES = 12.0
_ZOOM = 0.1


def batches(samples: Samples, size: int, batch_size: int) -> Any:
    """A tf.data.Dataset of (float32 [batch, size, size, 3], int64 [batch]) in the samples' order."""
    decoded = _decoded(_encoded(samples), samples, size)
    return _cached(decoded, samples, size).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def training_batches(samples: Samples, size: int, batch_size: int, seed: int) -> Any:
    """As `batches`, but in another order each epoch and with every image shifted, turned and zoomed a little."""
    order: dict[str, Any] = {"buffer_size": len(samples), "seed": seed, "reshuffle_each_iteration": True}
    if _fits(samples, size):
        data = _cached(_decoded(_encoded(samples), samples, size), samples, size).shuffle(**order)
    else:
        data = _decoded(_encoded(samples).shuffle(**order), samples, size)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    data = tf.data.Dataset.zip(data.batch(batch_size), seeds)
    return data.map(lambda batch, draw: (moved(batch[0], draw), batch[1]), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def moved(images: Any, seed: Any) -> Any:
    """`images` [batch, size, size, 3], each moved at random; what comes in at the border repeats the edge."""
    count, size = tf.shape(images)[0], tf.shape(images)[1]
    draws = tf.random.stateless_uniform((4, count), seed, -1, 1)
    angle = draws[0] * math.radians(_TURN_DEGREES)
    zoom = 1 + draws[1] * _ZOOM
    side = tf.cast(size, tf.float32)
    centre = (side - 1) / 2
    along, across = zoom * tf.cos(angle), zoom * tf.sin(angle)
    right = centre * (1 - along + across) + draws[2] * _SHIFT * side
    down = centre * (1 - along - across) + draws[3] * _SHIFT * side
    nothing = tf.zeros_like(along)
    # Row by row: where an output pixel (x, y) comes from.
    transforms = tf.stack([along, -across, right, across, along, down, nothing, nothing], axis=-1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.stack([size, size]),
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )


def _encoded(samples: Samples) -> Any:
    # Names of files are bytes, and not always text.
    sources = [source if isinstance(source, bytes) else os.fsencode(source) for source in samples.sources]
    parts: tuple[Any, ...] = (tf.constant(sources, tf.string), samples.labels)
    if samples.orientations is not None:
        parts = (*parts, samples.orientations)
    return tf.data.Dataset.from_tensor_slices(parts)


def _decoded(data: Any, samples: Samples, size: int) -> Any:
    on_disk = not isinstance(samples.sources[0], bytes)

    def load(source: Any, label: Any, orientation: Any = None) -> tuple[Any, Any]:
        return pixels.decode(tf.io.read_file(source) if on_disk else source, size, orientation), label

    return data.map(load, tf.data.AUTOTUNE)


def _cached(data: Any, samples: Samples, size: int) -> Any:
    return data.cache() if _fits(samples, size) else data


def _fits(samples: Samples, size: int) -> bool:
    return len(samples) * size * size * 3 * 4 <= _CACHE_BYTES
