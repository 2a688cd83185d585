"""The models that the recorded requests ask: `python -m tests.conformance.models FOLDER` writes them and their config.

kitchen (versions 1, 2, 10) has a signature for every rule of tensors and JSON; digits (1, 2) is shaped like the models
that the trainer exports. What they compute is part of the recorded answers.
"""

# The functions below are traced by TensorFlow, which goes by their parameters' names, not by types.
# mypy: disable-error-code="no-untyped-def,misc,no-untyped-call,untyped-decorator"

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

IDENTITIES = [
    "float16",
    "bfloat16",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "string",
]
CASTS = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool"]

CONFIG = """\
model_config_list {{
  config {{
    name: "kitchen" base_path: "{0}/kitchen" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 versions: 10 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
  config {{ name: "digits" base_path: "{0}/digits" model_platform: "tensorflow" }}
}}
"""


def signature(**inputs: tuple[Any, Any]) -> Any:
    """A tf.function whose arguments are named, typed and shaped as given."""
    return tf.function(
        input_signature=[tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()]
    )


def kitchen_signatures() -> dict[str, Any]:
    """One signature per rule: shapes, names, `_bytes` outputs, every type, numbers at their limits, failures."""
    some_floats = ([None], tf.float32)

    @signature(x=some_floats)
    def half_plus_two(x):
        return {"y": x * 0.5 + 2.0}

    @signature(a=some_floats, b=some_floats)
    def add(a, b):
        return {"sum": a + b, "diff": a - b}

    @signature(image=(None, tf.string))
    def echo_bytes(image):
        return {"echo_bytes": image, "echo": image}

    @signature(text=([None], tf.string))
    def strings(text):
        return {"upper": tf.strings.upper(text), "length": tf.strings.length(text)}

    @signature(s=([], tf.float32))
    def scalar(s):
        return {"t": s + 1.0}

    @signature(m=([None, 3], tf.float32))
    def matrix(m):
        return {"rowsum": tf.reduce_sum(m, 1), "twice": m * 2.0}

    @signature(input_tensor=([None, None, None, 3], tf.float32))
    def image_mean(input_tensor):
        return {"output_0": tf.reduce_mean(input_tensor, [1, 2])}

    @signature(x=some_floats)
    def total(x):
        return {"total": tf.reduce_sum(x), "pair": tf.stack([tf.reduce_min(x), tf.reduce_max(x)])}

    named = {"add": add, "echo_bytes": echo_bytes, "strings": strings, "scalar": scalar, "matrix": matrix}
    return {"serving_default": half_plus_two, **named, "image_mean": image_mean, "total": total, **_odd_signatures()}


def _odd_signatures() -> dict[str, Any]:
    @signature(x=([None], tf.float32))
    def specials(x):
        signed = tf.where(x >= 0, float("inf"), float("-inf"))
        return {"nan": x * float("nan"), "inf": signed, "big": x * 1e20, "tiny": x * 1e-20}

    @signature(i=([None], tf.int32))
    def every_dtype(i):
        casts = {name: tf.cast(i, name) for name in CASTS}
        return {**casts, "third": tf.cast(i, tf.float64) / 3.0, "string": tf.strings.as_string(i)}

    @signature(x=([None], tf.float32))
    def fails(x):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["x must be positive"])]):
            return {"y": tf.identity(x)}

    @signature(image_bytes_string=([None], tf.string))
    def decode(image_bytes_string):
        mean = tf.TensorSpec([3], tf.float32)
        return {"mean": tf.map_fn(_mean_colour, image_bytes_string, fn_output_signature=mean)}

    identities = {f"id_{name}": _identity(name) for name in IDENTITIES}
    return {"specials": specials, "every_dtype": every_dtype, "fails": fails, "decode": decode, **identities}


def _identity(dtype: str) -> Any:
    @signature(v=([None], tf.dtypes.as_dtype(dtype)))
    def identity(v):
        return {"w": tf.identity(v)}

    return identity


def _mean_colour(encoded):
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.reduce_mean(tf.cast(image, tf.float32), [0, 1])


class Digits(tf.Module):
    """A linear classifier of 28 x 28 RGB images with seeded random weights."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        weights = np.random.default_rng(seed).normal(size=(28 * 28 * 3, 10))
        self.weights = tf.Variable(weights.astype("f") / 50)

    def logits(self, images):
        """Logits of images of any size."""
        resized = tf.image.resize(images, (28, 28)) / 255.0
        return tf.reshape(resized, [-1, 28 * 28 * 3]) @ self.weights

    def signatures(self) -> dict[str, Any]:
        """The signatures of the bundle's models: images, and encoded images."""

        @signature(input_tensor=([None, None, None, 3], tf.float32))
        def serving_default(input_tensor):
            return {"output_0": self.logits(input_tensor)}

        @signature(image_bytes_string=([None], tf.string))
        def serving_bytes(image_bytes_string):
            spec = tf.TensorSpec([28, 28, 3], tf.float32)
            return {"output_0": self.logits(tf.map_fn(_decoded, image_bytes_string, fn_output_signature=spec))}

        return {"serving_default": serving_default, "serving_bytes": serving_bytes}


def _decoded(encoded):
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return tf.image.resize(tf.cast(image, tf.float32), (28, 28))


def write(folder: Path) -> Path:
    """Write all versions of both models under `folder`; returns the path of a models.config for them."""
    kitchen = tf.Module()
    kitchen.functions = signatures = kitchen_signatures()
    for version in (1, 2, 10):
        tf.saved_model.save(kitchen, str(folder / "kitchen" / str(version)), signatures=signatures)
    for version in (1, 2):
        digits = Digits(version)
        tf.saved_model.save(digits, str(folder / "digits" / str(version)), signatures=digits.signatures())
    config = folder / "models.config"
    config.write_text(CONFIG.format(folder.resolve()))
    return config


if __name__ == "__main__":
    write(Path(sys.argv[1]))
