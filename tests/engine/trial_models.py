"""SavedModels that are awkward to try before they serve: `python -m tests.engine.trial_models FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRINTED = "made-up input was printed"


def write(folder: Path) -> None:
    """Write the models of `_answers` into `folder`, each with the signatures serving_default and again."""
    import tensorflow as tf

    weight = tf.Variable(2.0)
    row = tf.TensorSpec([None, 4], tf.float32, name="x")
    specs = {
        "grows": [tf.TensorSpec([None, None, None, None], tf.float32, name="x")],
        "texts": [tf.TensorSpec([None, 3000, 3000], tf.string, name="x")],
        "numbers": [tf.TensorSpec([None, 40000, 40000], tf.float32, name="x")],
        "types": [
            tf.TensorSpec([None], tf.int64, name="a"),
            tf.TensorSpec([None], tf.string, name="b"),
            tf.TensorSpec([None], tf.bool, name="c"),
        ],
    }
    for name, answer in _answers(weight).items():
        module = tf.Module()
        module.weight = weight
        # The same under another name, as Keras exports it.
        signatures = {
            key: tf.function(lambda *inputs: {"y": answer(*inputs)}, input_signature=specs.get(name, [row]))  # noqa: B023
            for key in ("serving_default", "again")
        }
        module.calls = signatures
        tf.saved_model.save(module, str(folder / name), signatures=dict(signatures))


def _answers(weight: Any) -> dict[str, Callable[..., Any]]:
    import tensorflow as tf

    def one_operation(x: Any) -> Any:
        square = tf.zeros([7000, 7000]) + tf.reduce_sum(x)
        return x * weight + tf.reduce_sum(tf.linalg.matmul(square, square)[0])

    def endless(x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(tf.abs(y)) >= 0.0, lambda y: [y + weight], [x])[0]

    def printing(x: Any) -> Any:
        tf.print(PRINTED, x)
        return x * weight

    inner = tf.function(printing)

    def asserting(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_sum(x) > 1e6, [PRINTED, x])]):
            return x * weight

    def growing(x: Any) -> Any:
        numbers = tf.cast(tf.reduce_prod(tf.cast(tf.shape(x), tf.float64)) ** 2 * 1000, tf.int32)
        return x * weight + tf.reduce_sum(tf.zeros([numbers]))

    return {
        "quick": lambda x: x * weight,
        "one_operation": one_operation,
        "endless": endless,
        "printing_in_a_map": lambda x: tf.map_fn(printing, x),
        "printing_in_a_loop": lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, printing(y)), (0, x))[1],
        "printing_in_a_branch": lambda x: tf.cond(tf.reduce_sum(x) > -1.0, lambda: printing(x), lambda: x),
        "printing_in_a_function": lambda x: inner(x) + 1.0,
        "printing_as_of_old": lambda x: tf.compat.v1.Print(x, [x], PRINTED) * weight,
        "asserting": asserting,
        "failing": lambda x: tf.ensure_shape(x, [7, 4]) * weight,
        "grows": growing,
        "texts": lambda x: tf.cast(tf.strings.length(x), tf.float32) * weight,
        "numbers": lambda x: tf.reduce_sum(x, [1, 2]) * weight,
        "types": lambda a, b, c: (
            tf.cast(a, tf.float32) * weight + tf.cast(tf.strings.length(b), tf.float32) + tf.cast(c, tf.float32)
        ),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]))
