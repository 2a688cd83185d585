"""Versions for the gate: `python -m tests.gate.models FOLDER` writes one good version and many that differ from it.

They tell ten pictures apart: a picture of class n is dark but for its n-th column.
"""

# The functions below are traced by TensorFlow, which goes by their parameters' names, not by types.
# mypy: disable-error-code="no-untyped-def,misc,no-untyped-call,untyped-decorator"

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from bundle import manifest
from rollout.gate import records

CLASSES = tuple("abcdefghij")
EXAMPLES = 40
SIZE = 10
SWAPPED = [0, 1, 2, 7, 4, 5, 6, 3, 8, 9]

Body = Callable[[Any], Any]


@dataclasses.dataclass
class Recipe:
    """How a version differs from the good one."""

    order: list[int] = dataclasses.field(default_factory=lambda: list(range(SIZE)))
    classes: tuple[str, ...] = CLASSES
    work: int = 1
    at_load: Callable[[], Any] | None = None
    body: Body | None = None
    pixels: str = "input_tensor"
    more: bool = False
    only: bool = False
    made_with: str = ""
    manifest: bool = True
    row_wise: tuple[str, ...] = ("serving_bytes", "serving_default")
    logits_off_by: float = 0.0
    warmup: str | None = "serving_bytes"


class AtLoad(tf.saved_model.experimental.TrackableResource):
    """Runs an operation when the version is loaded, as a lookup table does."""

    def __init__(self, run: Callable[[], Any]) -> None:
        super().__init__()
        self._run = run

    def _create_resource(self) -> Any:
        return tf.constant(0)

    def _initialize(self) -> None:
        if not tf.executing_eagerly():
            tf.print("at load:", self._run())

    def _destroy_resource(self) -> None:
        pass


def make(folder: Path, recipe: Recipe) -> None:
    module = tf.Module()
    weights = tf.Variable(np.eye(SIZE, dtype=np.float32)[:, recipe.order])
    module.weights = weights

    def logits(images):
        images = images if recipe.body is None else recipe.body(images)
        columns = tf.reduce_mean(tf.reshape(images, (-1, SIZE, SIZE, 3)), axis=(1, 3)) / 10.0
        load = tf.fill((320, 320), tf.reduce_sum(columns) * 1e-9)
        for _ in range(recipe.work):
            load = tf.matmul(load, load)
        return columns @ weights + tf.reduce_sum(load) * 1e-9

    def decoded(contents):
        return tf.map_fn(
            lambda one: tf.cast(tf.io.decode_png(one, channels=3), tf.float32),
            tf.reshape(contents, [-1]),
            fn_output_signature=tf.TensorSpec((SIZE, SIZE, 3), tf.float32),
        )

    encoded = tf.TensorSpec(None, tf.string, "image_bytes_string")
    images = tf.TensorSpec((None, None, None, 3), tf.float32, recipe.pixels)
    signatures = {
        "serving_bytes": _signature(
            lambda image_bytes_string: {"output_0": logits(decoded(image_bytes_string))}, encoded
        ),
        "serving_default": _signature(lambda pixels: {"output_0": logits(pixels)}, images),
    }
    if recipe.only:
        signatures = {"sums": _signature(lambda pixels: {"sum": tf.reduce_sum(pixels)}, images)}
    if recipe.more:
        signatures["also_this"] = _signature(lambda pixels: {"sum": tf.reduce_sum(pixels)}, images)
    if recipe.at_load is not None:
        module.at_load = AtLoad(recipe.at_load)
    tf.saved_model.save(module, str(folder), signatures)
    _finish(folder, recipe, lambda contents: logits(decoded(tf.constant(contents))).numpy())


def _signature(call: Body, spec: Any) -> Any:
    return tf.function(call, input_signature=[spec], autograph=False)


def _finish(folder: Path, recipe: Recipe, ask: Callable[[list[bytes]], Any]) -> None:
    if recipe.made_with:
        path = folder / "saved_model.pb"
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
        model.meta_graphs[0].meta_info_def.tensorflow_version = recipe.made_with
        path.write_bytes(model.SerializeToString())
    extra = folder / manifest.FOLDER
    (extra / "examples").mkdir(parents=True)
    contents = [picture(extra / "examples" / f"{n}.png", n) for n in range(EXAMPLES)]
    if recipe.warmup:
        feed = {"image_bytes_string": np.array(contents[:2], dtype=object)}
        content = records.file_of([records.record("Pictures", recipe.warmup, feed)])
        (extra / "tf_serving_warmup_requests").write_bytes(content)
    if recipe.manifest:
        logits = ask(contents) + recipe.logits_off_by
        manifest.write(folder, manifest_of(recipe.classes, recipe.row_wise, logits))


def pixels(number: int) -> NDArray[np.uint8]:
    made = np.random.default_rng(number).integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
    made[:, number % SIZE] = 200
    return made


def picture(path: Path, number: int) -> bytes:
    Image.fromarray(pixels(number)).save(path)
    return path.read_bytes()


def manifest_of(classes: tuple[str, ...], row_wise: tuple[str, ...], logits: Any) -> manifest.Manifest:
    examples = tuple(
        manifest.Example(f"examples/{n}.png", classes.index(CLASSES[n % SIZE]), tuple(map(float, row)))
        for n, row in enumerate(logits)
    )
    return manifest.Manifest(
        tensorflow_version=tf.__version__,
        model_type="Columns",
        classes=classes,
        image_size=SIZE,
        dataset=manifest.Dataset("columns", "", 0, 0, EXAMPLES),
        settings={},
        test_accuracy=1.0,
        confusion_matrix=(),
        created="2025-01-31T12:00:00+00:00",
        examples=examples,
        row_wise=row_wise,
    )


def _abort(quietly: bool) -> Any:
    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="as it was told", exit_without_error=quietly)]):
        return tf.identity(1)


def _write(path: Path) -> Any:
    save = tf.raw_ops.SaveV2(prefix=str(path), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1)])
    with tf.control_dependencies([save]):
        return tf.identity(1)


def _forever() -> Any:
    return tf.while_loop(lambda n: n < 2, lambda n: (n * 1,), (tf.constant(1),))


def _hog() -> Any:
    count = 4_000_000_000 + tf.cast(tf.timestamp() * 0, tf.int64)  # A constant would be folded, and kept.
    return tf.reduce_sum(tf.fill(count[tf.newaxis], tf.constant(1, tf.int8)))


def _by_python(images: Any) -> Any:
    return tf.ensure_shape(tf.py_function(lambda x: x, [images], tf.float32), (None, None, None, 3))


def _reads_its_command_line(images: Any) -> Any:
    return images + 0.0 * tf.cast(tf.strings.length(tf.io.read_file("/proc/self/cmdline")), tf.float32)


def recipes(folder: Path) -> dict[str, Recipe]:
    """Every version by its name."""
    return {
        "live": Recipe(),
        "more": Recipe(more=True),
        "swapped_weights": Recipe(order=SWAPPED),
        "swapped_labels": Recipe(classes=tuple(CLASSES[n] for n in SWAPPED)),
        "other_logits": Recipe(logits_off_by=0.01),
        "slow": Recipe(work=8),
        "renamed": Recipe(pixels="pictures"),
        "newer": Recipe(made_with="2.21.0"),
        "patched": Recipe(made_with="2.19.7"),
        "elsewhere": Recipe(manifest=False, warmup=None),
        "swapped_elsewhere": Recipe(order=SWAPPED, manifest=False, warmup=None),
        "strange": Recipe(only=True, manifest=False, warmup=None),
        "bad_warmup": Recipe(warmup="nobody"),
        "python": Recipe(body=_by_python),
        "reads": Recipe(body=_reads_its_command_line),
        "exits": Recipe(at_load=lambda: _abort(quietly=True)),
        "aborts": Recipe(at_load=lambda: _abort(quietly=False)),
        "hangs": Recipe(at_load=_forever),
        "hogs": Recipe(at_load=_hog),
        "writes": Recipe(at_load=lambda: _write(folder / "live" / "escaped")),
    }


if __name__ == "__main__":
    for name, recipe in recipes(Path(sys.argv[1])).items():
        make(Path(sys.argv[1], name), recipe)
