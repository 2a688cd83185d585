"""The SavedModels that hostile clients ask: `python -m tests.hostile.models FOLDER`.

m: x float [n] -> 0.5 x; `picture`: image string [n] -> its mean; `numbers`: n int [] -> y float [n, 1000]; `slow`:
seconds float [n] -> after that time the same; `text`: text string [n] -> its lengths.
"""

from __future__ import annotations

import sys
from pathlib import Path


def write(folder: Path) -> None:
    """Write `folder`/m/1."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def half(x):  # type: ignore[no-untyped-def]
        return {"y": 0.5 * x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def picture(image):  # type: ignore[no-untyped-def]
        def mean(one):  # type: ignore[no-untyped-def]
            return tf.reduce_mean(tf.cast(tf.io.decode_image(one, expand_animations=True), tf.float32))

        return {"mean": tf.map_fn(mean, image, fn_output_signature=tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="n")])
    def numbers(n):  # type: ignore[no-untyped-def]
        return {"y": tf.random.stateless_uniform([n, 1000], [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="seconds")])
    def slow(seconds):  # type: ignore[no-untyped-def]
        end = tf.timestamp() + tf.cast(tf.reduce_max(seconds), tf.float64)
        passes = tf.while_loop(lambda _: tf.timestamp() < end, lambda i: [i + 1], [tf.constant(0)])[0]
        return {"seconds": seconds + 0.0 * tf.cast(passes, tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(text):  # type: ignore[no-untyped-def]
        return {"length": tf.strings.length(text)}

    signatures = {"serving_default": half, "picture": picture, "numbers": numbers, "slow": slow, "text": text}
    tf.saved_model.save(tf.Module(), str(folder / "m" / "1"), signatures=signatures)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
