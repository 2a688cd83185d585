"""SavedModels with variables, in versions that can and that cannot do without: `python -m ... FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

WORDS = ("cat", "dog")


def write(folder: Path) -> None:
    """Write dense, table, counting, texts, images and heavy into `folder`."""
    import tensorflow as tf

    class Model(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(tf.random.stateless_normal([4, 3], seed=[1, 2]))
            self.square = tf.Variable(tf.random.stateless_normal([1024, 1024], seed=[1, 2]))
            self.total = tf.Variable(0.0)
            words = folder / "words.txt"
            words.write_text("\n".join(WORDS) + "\n")
            self.asset = tf.saved_model.Asset(str(words))
            keys, values = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            lines = tf.lookup.TextFileInitializer(self.asset, tf.string, keys, tf.int64, values)
            self.table = tf.lookup.StaticHashTable(lines, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def dense(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.matmul(x, self.weights)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="number")])
        def number(self, number):  # type: ignore[no-untyped-def]
            return {"y": tf.strings.to_number(number) * self.weights[0, 0]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
        def image(self, image):  # type: ignore[no-untyped-def]
            mean = lambda each: tf.reduce_mean(tf.cast(tf.io.decode_png(each, channels=3), tf.float32))  # noqa: E731
            return {"y": tf.map_fn(mean, image, fn_output_signature=tf.float32) * self.weights[0, 0]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="word")])
        def lookup(self, word):  # type: ignore[no-untyped-def]
            return {"line": self.table.lookup(word), "weight": tf.ones_like(word, tf.float32) * self.weights[0, 0]}

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def count(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.matmul(x, self.weights) + self.total.assign_add(1.0)}

        @tf.function(input_signature=[tf.TensorSpec([None, 1024], tf.float32, name="x")])
        def heavy(self, x):  # type: ignore[no-untyped-def]
            return {"y": tf.foldl(lambda one, _: tf.nn.softmax(one @ self.square @ self.square), tf.range(400), x)}

    model = Model()

    def save(name: str, **signatures: object) -> None:
        tf.saved_model.save(model, str(folder / name), signatures=signatures)

    save("dense", serving_default=model.dense)
    save("table", serving_default=model.dense, lookup=model.lookup)
    save("counting", serving_default=model.dense, count=model.count)
    save("texts", serving_default=model.number)
    save("images", serving_default=model.image)
    save("heavy", serving_default=model.heavy)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
