"""SavedModels that use variables in many ways: `python -m tests.engine.reading_models FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

READ = (
    *("matmul", "loop", "map", "branch", "case", "nested", "shared", "twice", "rows_of_a_read", "after_a_loop"),
    *("gathered_batch", "two_types"),
)
USED_OTHERWISE = ("gathered", "gathered_nd", "counted", "counted_in_a_branch", "drawn")


def write(folder: Path) -> None:
    """Write a SavedModel for each name in READ and USED_OTHERWISE, from 4 numbers a row to as many."""
    import tensorflow as tf

    row = tf.TensorSpec([None, 4], tf.float32, name="x")
    for name, answer in _answers(tf).items():
        module = tf.Module()
        module.one = tf.Variable(tf.random.stateless_normal([4, 4], seed=[1, 2]))
        module.other = tf.Variable(tf.random.stateless_normal([4, 4], seed=[3, 4]))
        module.whole = tf.Variable([[3, 1], [2, 0]])
        module.total = tf.Variable(0.0)
        module.generator = tf.random.Generator.from_seed(1)
        module.call = tf.function(lambda x: {"y": answer(module, x)}, input_signature=[row])  # noqa: B023
        tf.saved_model.save(module, str(folder / name), signatures=module.call)


def _answers(tf: Any) -> dict[str, Callable[[Any, Any], Any]]:
    product = tf.function(lambda weights, x: x @ weights)
    scaled = tf.function(lambda weights, x: x * tf.cast(weights[0, 0], tf.float32))
    outer = tf.function(lambda weights, x: product(weights, x) + product(weights, x * 2.0))

    def loop(m: Any, x: Any) -> Any:
        return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(y @ m.one + m.other[0])), (0, x))[1]

    def counted_in_a_branch(m: Any, x: Any) -> Any:
        return x @ m.one + tf.cond(tf.reduce_sum(x) > 1e9, lambda: m.total.assign_add(1.0), lambda: m.total)

    return {
        "matmul": lambda m, x: x @ m.one + m.other[1],
        "loop": loop,
        "map": lambda m, x: tf.map_fn(lambda each: tf.linalg.matvec(m.one, each) + m.other[2], x),
        "branch": lambda m, x: tf.cond(tf.reduce_sum(x) > 0.0, lambda: x @ m.one, lambda: x @ m.other),
        "case": lambda m, x: tf.switch_case(
            tf.cast(x[0, 0], tf.int32), [lambda: x @ m.one, lambda: x @ m.other, lambda: x]
        ),
        "nested": lambda m, x: outer(m.one, x),
        "shared": lambda m, x: product(m.one, x) + product(m.other, x),
        "twice": lambda m, x: product(m.one, x) @ m.one,
        "rows_of_a_read": lambda m, x: tf.gather(m.one.read_value(), tf.argmax(x, 1)) + m.other[0],
        "after_a_loop": lambda m, x: loop(m, x) @ m.one,
        "gathered": lambda m, x: tf.gather(m.one, tf.argmax(x, 1)),
        "gathered_nd": lambda m, x: tf.gather_nd(m.one, tf.argmax(x, 1)[:, None]),
        "gathered_batch": lambda m, x: tf.gather(m.one, tf.argmax(m.other, 1)[:, None], batch_dims=1)[:, 0] + x,
        "counted": lambda m, x: x + m.total.assign_add(1.0),
        "counted_in_a_branch": counted_in_a_branch,
        "drawn": lambda m, x: x @ m.one + m.generator.normal([4]),
        "two_types": lambda m, x: scaled(m.one, x) + scaled(m.whole, x),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]))
