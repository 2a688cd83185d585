"""A SavedModel with signatures that can and that cannot be stacked: `python -m tests.engine.batching_models FOLDER`."""

from __future__ import annotations

import sys

ROWS = ("image", "dense", "free", "mixing", "count", "noise")


def write(folder: str) -> None:  # noqa: C901 - one function per signature
    """Write the SavedModel into `folder`; "dense" is the default signature too."""
    import tensorflow as tf

    class Model(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(tf.random.stateless_normal([4, 3], seed=[1, 2]))
            self.total = tf.Variable(0.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
        def image(self, image):  # type: ignore[no-untyped-def]
            mean = lambda each: tf.reduce_mean(tf.cast(tf.io.decode_png(each, channels=3), tf.float32))  # noqa: E731
            return {"mean": tf.map_fn(mean, image, fn_output_signature=tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def dense(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.matmul(x, self.weights), "x": tf.identity(x)}

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
        def free(self, x):  # type: ignore[no-untyped-def]
            return {"y": 2.0 * x}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def mixing(self, x):  # type: ignore[no-untyped-def]
            return {"y": x - tf.reduce_mean(x)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def count(self, x):  # type: ignore[no-untyped-def]
            return {"y": 0.0 * x + self.total.assign_add(1.0)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def noise(self, x):  # type: ignore[no-untyped-def]
            return {"y": x + tf.random.normal(tf.shape(x))}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
        def scalar(self, x):  # type: ignore[no-untyped-def]
            return {"y": x + 1.0}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def total_of(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.reduce_sum(x)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def pieces(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.concat([x, x], 0)}

    model = Model()
    names = (*ROWS, "scalar", "total_of", "pieces")
    signatures = {"serving_default": model.dense, **{name: getattr(model, name) for name in names}}
    tf.saved_model.save(model, folder, signatures=signatures)


if __name__ == "__main__":
    write(sys.argv[1])
