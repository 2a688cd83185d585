"""Makes small SavedModels in the folder named on the command line; a program of its own, as it loads TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def make_all(folder: Path) -> None:
    import tensorflow as tf

    class Scale(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        def scaled(self, x: Any) -> Any:
            return {"y": x * self.factor}

    def save(name: str, **inputs: Any) -> None:
        module = Scale()
        if len(inputs) == 2:
            function = tf.function(lambda x, extra: {"y": x * module.factor + extra})
        else:
            function = tf.function(lambda **given: module.scaled(*given.values()))
        concrete = function.get_concrete_function(
            **{alias: tf.TensorSpec(shape, dtype, name=alias) for alias, (shape, dtype) in inputs.items()}
        )
        module.call = function
        tf.saved_model.save(module, str(folder / name), {"serving_default": concrete})

    save("good", x=([None], tf.float32))
    save("other_name", z=([None], tf.float32))
    save("other_shape", x=([None, 3], tf.float32))
    save("wants_more", x=([None], tf.float32), extra=([None], tf.float32))


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
