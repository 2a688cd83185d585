"""The held-out images that travel with a version, so that anyone can ask it questions with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bundle import manifest
from trainer import evaluate, pixels
from trainer.datasets import png
from trainer.datasets.base import Samples

COUNT = 200
"""Enough to see an accuracy fall by a few points."""

_LEAST = 32
_BUDGET_BYTES = 4 << 20
_FOLDER = "examples"
_LARGEST_SIDE = 512


def choose(test: Samples, seed: int) -> Samples:
    """Up to COUNT test samples, as evenly over the classes as can be, at random within a class."""
    order = np.random.default_rng(seed).permutation(len(test))
    labels = test.labels[order]
    turn = np.empty(len(order), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return test.take(order[np.lexsort((labels, turn))][:COUNT])


def as_png(samples: Samples, image_size: int) -> Samples:
    """The same pictures as 8-bit grey or RGB PNG files: every client's decoder agrees on those, unlike on JPEG.

    To keep versions small, pictures with a side above 512 pixels are stored as the model sees them, and of more than
    32 only the first that have 4 MB together.
    """
    contents: list[bytes] = []
    for index in range(len(samples)):
        content = _png(samples.content(index), image_size, samples.orientation(index))
        if len(contents) >= _LEAST and sum(map(len, contents)) + len(content) > _BUDGET_BYTES:
            break
        contents.append(content)
    return Samples(tuple(contents), samples.labels[: len(contents)])


def write(folder: Path, model: Any, samples: Samples, image_size: int) -> tuple[manifest.Example, ...]:
    """Write the PNG `samples` beside the manifest of `folder`; the examples carry the logits of `model`."""
    target = folder / manifest.FOLDER / _FOLDER
    target.mkdir(parents=True)
    answers = evaluate.logits(model, samples, image_size)
    return tuple(_write(target, index, samples, answers[index]) for index in range(len(samples)))


def _write(target: Path, index: int, samples: Samples, logits: NDArray[np.float32]) -> manifest.Example:
    name = f"{index:03d}.png"
    (target / name).write_bytes(samples.content(index))
    return manifest.Example(f"{_FOLDER}/{name}", int(samples.labels[index]), tuple(float(x) for x in logits))


def _png(content: bytes, image_size: int, orientation: int) -> bytes:
    image = pixels.upright(pixels.open_image(content), orientation)
    if max(image.shape[:2]) > _LARGEST_SIDE:
        image = tf.cast(tf.round(pixels.resize(image, image_size)), tf.uint8)
    array: NDArray[np.uint8] = image.numpy()
    return png.encode(array[..., 0] if array.shape[-1] < 3 else array[..., :3])


def contents(folder: Path, examples: Sequence[manifest.Example]) -> list[bytes]:
    """The image files of `examples` of the version in `folder`."""
    return [(folder / manifest.FOLDER / example.image).read_bytes() for example in examples]
