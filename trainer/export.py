"""Write a trained model as a SavedModel that TensorFlow Serving loads and answers fast.

The weights become constants of one library function that all signatures call. They are stored once, and the graph
optimiser may fold them (batch norms into convolutions), which it cannot do with variables.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from trainer import pixels, quiet

IMAGES = "input_tensor"
ENCODED = "image_bytes_string"
LOGITS = "output_0"

SERVING_DEFAULT = "serving_default"
SERVING_BYTES = "serving_bytes"
SERVING_LABELS = "serving_labels"

ROW_WISE = (SERVING_DEFAULT, SERVING_BYTES, SERVING_LABELS)
"""Signatures whose rows do not influence each other: pictures are decoded one by one, the network is at inference."""

Core = Callable[[Any], Any]
"""From float32 [batch, size, size, 3] to logits [batch, classes]."""


def write(model: Any, image_size: int, classes: tuple[str, ...], folder: Path) -> None:
    """Write `model` (float32 0..255 to logits) with its three signatures into `folder`."""
    core = frozen(model, image_size)
    tf.saved_model.save(tf.Module(), folder, signatures=signatures(core, image_size, classes))


def signatures(core: Core, image_size: int, classes: tuple[str, ...]) -> dict[str, Any]:
    """The three signatures of a version around one `core`, by their names."""
    return {
        SERVING_DEFAULT: _from_pixels(core, image_size),
        SERVING_BYTES: _from_bytes(core, image_size),
        SERVING_LABELS: _to_labels(core, image_size, classes),
    }


def frozen(model: Any, image_size: int) -> Core:
    """`model` at inference as one graph function whose weights are constants."""

    def logits(images: Any) -> Any:
        return model(images, training=False)

    spec = tf.TensorSpec((None, image_size, image_size, 3), tf.float32, "images")
    concrete = tf.function(logits, autograph=False).get_concrete_function(spec)
    # The optimiser reports the machine's devices through a logger that is not set up yet.
    with quiet.native_stderr():
        constant = convert_variables_to_constants_v2(concrete)
    return lambda images: constant(images)[0]


def _from_pixels(core: Core, image_size: int) -> Any:
    def serving_default(input_tensor: Any) -> dict[str, Any]:
        return {LOGITS: core(pixels.resize(input_tensor, image_size))}

    return _signature(serving_default, tf.TensorSpec((None, None, None, 3), tf.float32, IMAGES))


def _from_bytes(core: Core, image_size: int) -> Any:
    def serving_bytes(image_bytes_string: Any) -> dict[str, Any]:
        return {LOGITS: core(pixels.decode_batch(image_bytes_string, image_size))}

    return _signature(serving_bytes, tf.TensorSpec(None, tf.string, ENCODED))


def _to_labels(core: Core, image_size: int, classes: tuple[str, ...]) -> Any:
    def serving_labels(image_bytes_string: Any) -> dict[str, Any]:
        probabilities = tf.nn.softmax(core(pixels.decode_batch(image_bytes_string, image_size)))
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(tf.constant(classes), best),
            "probability": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    return _signature(serving_labels, tf.TensorSpec(None, tf.string, ENCODED))


def _signature(call: Callable[..., dict[str, Any]], spec: Any) -> Any:
    return tf.function(call, input_signature=[spec], autograph=False)
