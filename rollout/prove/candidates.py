"""The versions of the scripted day: three good ones from three trainings, and bad ones made of a good one."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import manifest

SIGNATURES = {"serving_bytes": "image_bytes_string", "serving_default": "input_tensor"}
IMAGES = 8

Answers = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Question:
    """A held-out image as a file, and as pixels float32 [height, width, 3]."""

    encoded: bytes
    pixels: NDArray[np.float32]


def questions(version_folder: Path) -> list[Question]:
    """The first held-out images of a version."""
    import tensorflow as tf

    document = manifest.read(version_folder)
    assert document is not None
    paths = [version_folder / manifest.FOLDER / example.image for example in document.examples[:IMAGES]]
    contents = [path.read_bytes() for path in paths]
    return [Question(content, tf.io.decode_png(content, 3).numpy().astype(np.float32)) for content in contents]


def known_answers(version_folder: Path, asked: list[Question]) -> dict[str, Answers]:
    """What the SavedModel answers, loaded here and not asked of any server: signature to logits [image, class]."""
    import tensorflow as tf

    model = tf.saved_model.load(str(version_folder))
    return {
        "serving_bytes": _logits(model, "serving_bytes", tf.constant([each.encoded for each in asked])),
        "serving_default": np.concatenate(
            [_logits(model, "serving_default", tf.constant(each.pixels[np.newaxis])) for each in asked]
        ),
    }


def _logits(model: Any, signature: str, given: Any) -> Answers:
    answers: Answers = model.signatures[signature](**{SIGNATURES[signature]: given})["output_0"].numpy()
    return answers


def swapped(good: Path, target: Path) -> Path:
    """A version whose classes 0 and 1 are swapped; its manifest agrees with it in everything but the labels."""
    import tensorflow as tf

    order = [1, 0, *range(2, 10)]
    document = manifest.read(good)
    assert document is not None
    _around(good, target, lambda logits: tf.gather(logits, order, axis=-1))
    examples = tuple(
        dataclasses.replace(example, logits=tuple(example.logits[index] for index in order))
        for example in document.examples
    )
    manifest.write(target, dataclasses.replace(document, examples=examples))
    return target


def crashing(good: Path, target: Path) -> Path:
    """A version that takes the process down that runs it: its warmup does, so loading it is enough."""
    import tensorflow as tf

    def crash(logits: Any) -> Any:
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="this version crashes")]):
            return tf.identity(logits)

    return _around(good, target, crash)


def hanging(good: Path, target: Path) -> Path:
    """A version that never answers, not even its warmup."""
    import tensorflow as tf

    def hang(logits: Any) -> Any:
        turns = tf.while_loop(lambda turn: turn >= 0, lambda turn: (turn + 1) % 1000, [tf.constant(0)])
        return logits + tf.cast(turns[0], tf.float32)

    return _around(good, target, hang)


def half(good: Path, target: Path) -> Path:
    """A copy that was broken off: the graph is there, the manifest that lists the rest, and not the rest."""
    (target / manifest.FOLDER).mkdir(parents=True)
    shutil.copyfile(good / "saved_model.pb", target / "saved_model.pb")
    shutil.copyfile(manifest.manifest_path(good), manifest.manifest_path(target))
    return target


def _around(good: Path, target: Path, change: Callable[[Any], Any]) -> Path:
    """`good` with the logits of all its signatures changed; its manifest and warmup come along."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(good))

    def wrapped(name: str) -> Any:
        inner = loaded.signatures[name]
        ((alias, spec),) = inner.structured_input_signature[1].items()

        def call(**given: Any) -> dict[str, Any]:
            answer = dict(inner(**given))
            if "output_0" in answer:
                answer["output_0"] = change(answer["output_0"])
            return answer

        return tf.function(call, autograph=False).get_concrete_function(
            **{alias: tf.TensorSpec(spec.shape, spec.dtype, alias)}
        )

    module = tf.Module()
    module.inner = loaded
    tf.saved_model.save(module, str(target), {name: wrapped(name) for name in loaded.signatures})
    shutil.copytree(good / manifest.FOLDER, target / manifest.FOLDER, dirs_exist_ok=True)
    document = manifest.read(good)
    assert document is not None
    manifest.write(target, document)
    return target
