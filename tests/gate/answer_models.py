"""Versions that answer wrongly, each in a way of its own: `python -m tests.gate.answer_models FOLDER`.

The good one tells ten pictures apart, as in tests.gate.models, and has our three signatures and a manifest. The others
are made elsewhere, without one, unless what is wrong with them is in it.
"""

# The functions below are traced by TensorFlow, which goes by their parameters' names, not by types.
# mypy: disable-error-code="no-untyped-def,misc,no-untyped-call"

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bundle import manifest
from tests.gate import models
from tests.gate.models import CLASSES, EXAMPLES, SIZE, SWAPPED

SIGNATURES = ("serving_bytes", "serving_default", "serving_labels")

Change = Callable[[Any, Any, str], Any]
"""From logits [n, 10], the pictures and the signature's name to what is answered instead."""


@dataclasses.dataclass
class Twist:
    """How a version differs from the good one."""

    change: Change = lambda logits, images, name: logits
    names: tuple[str, ...] = (*CLASSES, "?")
    row_wise: tuple[str, ...] | None = None
    """With a manifest that declares these, else without one."""


def make(folder: Path, twist: Twist) -> None:
    weights = tf.eye(SIZE)

    def answer(images, name):
        images = tf.image.resize(images, (SIZE, SIZE))
        columns = tf.reduce_mean(tf.reshape(images, (-1, SIZE, SIZE, 3)), axis=(1, 3)) / 10.0
        return twist.change(columns @ weights, images, name)

    def decoded(contents):
        return tf.map_fn(
            lambda one: tf.image.resize(tf.io.decode_png(one, channels=3), (SIZE, SIZE)),
            tf.reshape(contents, [-1]),
            fn_output_signature=tf.TensorSpec((SIZE, SIZE, 3), tf.float32),
        )

    def by_label(image_bytes_string):
        probabilities = tf.nn.softmax(answer(decoded(image_bytes_string), "serving_labels"))
        best = tf.argmax(probabilities, axis=-1)
        return {"label": tf.gather(tf.constant(twist.names), best), "probabilities": probabilities}

    encoded = tf.TensorSpec(None, tf.string, "image_bytes_string")
    calls = {
        "serving_bytes": (lambda image_bytes_string: _logits(decoded(image_bytes_string), "serving_bytes"), encoded),
        "serving_default": (
            lambda input_tensor: _logits(input_tensor, "serving_default"),
            tf.TensorSpec((None, None, None, 3), tf.float32, "input_tensor"),
        ),
        "serving_labels": (by_label, encoded),
    }

    def _logits(images, name):
        return {"output_0": answer(images, name)}

    functions = {
        name: tf.function(call, input_signature=[spec], autograph=False) for name, (call, spec) in calls.items()
    }
    tf.saved_model.save(tf.Module(), str(folder), functions)
    if twist.row_wise is not None:
        _declare(folder, twist.row_wise, functions["serving_bytes"])


def _declare(folder: Path, row_wise: tuple[str, ...], ask: Any) -> None:
    extra = folder / manifest.FOLDER
    (extra / "examples").mkdir(parents=True)
    contents = [models.picture(extra / "examples" / f"{n}.png", n) for n in range(EXAMPLES)]
    logits = ask(tf.constant(contents))["output_0"].numpy()
    manifest.write(folder, models.manifest_of(CLASSES, row_wise, logits))


def sums() -> list[float]:
    """What the pixels of each held-out picture add up to: a model may know them by that."""
    return [float(np.asarray(models.pixels(n), np.float64).sum()) for n in range(EXAMPLES)]


def _only(name: str, change: Change) -> Change:
    return lambda logits, images, where: change(logits, images, where) if where == name else logits


def _nan(logits, images, name):
    return logits * float("nan")


def _one_class_infinite(logits, images, name):
    return tf.where(tf.range(SIZE) == 3, float("inf"), logits)


def _constant(logits, images, name):
    return tf.zeros_like(logits) + tf.range(SIZE, dtype=tf.float32)


def _swapped(logits, images, name):
    return tf.gather(logits, SWAPPED, axis=-1)


def _more(logits, images, name):
    return tf.concat([logits, logits[:, :1] - 1], axis=-1)


def _nan_at_16(logits, images, name):
    return tf.where(tf.shape(logits)[0] == 16, float("nan"), logits)


def _two_rows_of_three(logits, images, name):
    count = tf.shape(logits)[0]
    return logits[: tf.where(count == 3, 2, count)]


def _random(logits, images, name):
    return logits + tf.random.normal(tf.shape(logits), stddev=0.01)


def _known(images):
    """Whether a picture is one of the held-out ones."""
    total = tf.reduce_sum(tf.cast(images, tf.float64), axis=(1, 2, 3))
    return tf.reduce_any(total[:, tf.newaxis] == tf.constant(sums(), tf.float64), axis=1)[:, tf.newaxis]


def _by_heart(logits, images, name):
    return tf.where(_known(images), logits, float("nan"))


def _nan_for_the_seventh(logits, images, name):
    total = tf.reduce_sum(tf.cast(images, tf.float64), axis=(1, 2, 3))
    return tf.where((total == sums()[7])[:, tf.newaxis], float("nan"), logits)


def _by_size(logits, images, name):
    return logits + 0.01 * tf.cast(tf.shape(logits)[0], tf.float32)


def _by_size_as_factor(logits, images, name):
    return logits * tf.cast(tf.shape(logits)[0], tf.float32)


def _by_company(logits, images, name):
    """Different only where an odd picture is in the batch: held-out ones alone would not show it."""
    odd = tf.reduce_any(tf.logical_not(_known(images)))
    return tf.where(odd, logits - tf.reduce_mean(logits, axis=0, keepdims=True), logits)


def _normed(logits, images, name):
    images = tf.cast(images, tf.float32)
    low, high = (each(images, axis=(1, 2, 3)) for each in (tf.reduce_min, tf.reduce_max))
    return logits + (0.0 * (high - low) / (high - low))[:, tf.newaxis]


def twists() -> dict[str, Twist]:
    """Every version by its name."""
    return {
        "good": Twist(row_wise=SIGNATURES),
        "foreign": Twist(),
        "nan": Twist(_nan),
        "infinity": Twist(_one_class_infinite),
        "constant": Twist(_constant),
        "softmax": Twist(lambda logits, images, name: tf.nn.softmax(logits)),
        "swapped": Twist(_swapped),
        "nine": Twist(lambda logits, images, name: logits[:, :9]),
        "eleven": Twist(_more),
        "nan_at_16": Twist(_nan_at_16),
        "random": Twist(_random),
        "nan_for_one": Twist(_only("serving_labels", _nan_for_the_seventh)),
        "constant_pixels": Twist(_only("serving_default", _constant)),
        "swapped_pixels": Twist(_only("serving_default", _swapped)),
        "by_heart": Twist(_by_heart),
        "swapped_names": Twist(names=tuple(CLASSES[n] for n in SWAPPED)),
        "one_name": Twist(names=("a",) * SIZE),
        "two_rows": Twist(_only("serving_default", _two_rows_of_three)),
        "hundredth": Twist(lambda logits, images, name: logits / 100),
        "by_size": Twist(_by_size),
        "declared_by_size": Twist(_only("serving_labels", _by_size_as_factor), row_wise=SIGNATURES),
        "declared_by_company": Twist(_only("serving_default", _by_company), row_wise=SIGNATURES),
        "declared_random": Twist(_only("serving_labels", _random), row_wise=SIGNATURES),
        "declares_another": Twist(row_wise=(*SIGNATURES, "serving_other")),
    }


def _numbers(folder: Path, call: Callable[[Any], Any]) -> None:
    spec = tf.TensorSpec((None, 3), tf.float32, "x")
    function = tf.function(lambda x: {"y": call(x)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(tf.Module(), str(folder), {"serving_default": function})


if __name__ == "__main__":
    for name, twist in twists().items():
        make(Path(sys.argv[1], name), twist)
    # What has nothing to do with pictures: a mean of ratios, a logarithm of what is above 5, and hidden columns.
    _numbers(Path(sys.argv[1], "ratio"), lambda x: tf.reduce_mean(x / tf.reduce_sum(x, axis=1, keepdims=True), axis=1))
    _numbers(Path(sys.argv[1], "logarithm"), lambda x: tf.math.log(x - 5))
    _numbers(Path(sys.argv[1], "masked"), lambda x: tf.where(tf.range(3) < 2, x, float("-inf")))
    # And what is broken: no number for any numbers.
    _numbers(Path(sys.argv[1], "diverged"), lambda x: x * float("nan"))
    # Pictures normed by their darkest and their brightest spot, whose difference is 0 where they are of one colour.
    make(Path(sys.argv[1], "normed"), Twist(_normed))
