"""A model of Keras 3, once as a tf.Module saves it, in `saved`, and once as the cure says, in `exported`."""

from __future__ import annotations

import sys
from typing import Any

import keras
import tensorflow as tf

SHAPE = [None, 8, 8, 3]


def main(folder: str) -> None:
    """Write both into `folder`."""
    model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    spec = tf.TensorSpec(SHAPE, tf.float32, "x")

    def call(x: Any) -> Any:
        return model(x)

    module = tf.Module()
    module.model = model
    module.call = tf.function(call, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, f"{folder}/saved", signatures=module.call)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", call, [spec])
    archive.write_out(f"{folder}/exported")


if __name__ == "__main__":
    main(sys.argv[1])
