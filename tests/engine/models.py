"""Small SavedModels to load, replace and break: `python -m tests.engine.models FOLDER` writes kit-1 to kit-4.

Each kit answers with its own number, so that a test can tell which version it reached. Kit 4 is heavy.
"""

from __future__ import annotations

import sys
from pathlib import Path

KITS = (1, 2, 3)
HEAVY = 4
HEAVY_MB = 64


def write(folder: Path, number: int, ballast_mb: int = 0) -> None:
    """Write `folder`/kit-`number`: a SavedModel with variables and these signatures.

    serving_default: x float [n] -> y = 0.5 x + number
    slow: seconds float [1] -> number, after that time
    held: path string [1] -> number, as soon as there is a file of that name; says on stderr that it waits
    echo: text string [n] -> text
    count: -> total, one more each time
    """
    import tensorflow as tf

    class Kit(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.number = tf.Variable(float(number))
            self.total = tf.Variable(0)
            self.runs = tf.Variable(0)
            self.ballast = tf.Variable(tf.random.uniform([ballast_mb, 2**18]))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def half_plus(self, x):  # type: ignore[no-untyped-def]
            return {"y": 0.5 * x + self.number}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="seconds")])
        def slow(self, seconds):  # type: ignore[no-untyped-def]
            end = tf.timestamp() + tf.cast(tf.reduce_max(seconds), tf.float64)
            passes = tf.while_loop(lambda _: tf.timestamp() < end, lambda i: [i + 1], [tf.constant(0)])[0]
            return {"number": self.number + 0.0 * tf.cast(passes, tf.float32) * seconds}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="path")])
        def held(self, path):  # type: ignore[no-untyped-def]
            def absent(run):  # type: ignore[no-untyped-def]
                # Another pattern each time, or the look would be taken out of the loop.
                pattern = path + tf.strings.substr(tf.strings.as_string(run), 0, 0)
                return tf.equal(tf.size(tf.io.matching_files(pattern)), 0)

            # What counts its runs is asked by clients alone, never by the server for a try.
            with tf.control_dependencies([tf.print("held until there is", path[0]), self.runs.assign_add(1)]):
                looks = tf.while_loop(absent, lambda run: [run + 1], [tf.constant(0)])[0]
            return {"number": self.number + 0.0 * tf.cast(looks, tf.float32) * tf.ones_like(path, tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def echo(self, text):  # type: ignore[no-untyped-def]
            return {"text": tf.identity(text)}

        @tf.function(input_signature=[])
        def count(self):  # type: ignore[no-untyped-def]
            return {"total": self.total.assign_add(1)}

    kit = Kit()
    signatures = {
        "serving_default": kit.half_plus,
        "slow": kit.slow,
        "held": kit.held,
        "echo": kit.echo,
        "count": kit.count,
    }
    tf.saved_model.save(kit, str(folder / f"kit-{number}"), signatures=signatures)


if __name__ == "__main__":
    for each in KITS:
        write(Path(sys.argv[1]), each)
    write(Path(sys.argv[1]), HEAVY, HEAVY_MB)
