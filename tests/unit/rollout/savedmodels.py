"""Makes a small SavedModel in the folder named on the command line; a program of its own, as it loads TensorFlow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def make_good(folder: Path) -> None:
    import tensorflow as tf

    class Scale(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def scaled(self, x: Any) -> Any:
            return {"y": x * self.factor}

    module = Scale()
    tf.saved_model.save(module, str(folder / "good"), {"serving_default": module.scaled})


if __name__ == "__main__":
    make_good(Path(sys.argv[1]))
