"""Load a version as a server would, in a process that has not seen the trained model, and ask it its own examples."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import prediction_log_pb2

from bundle import manifest
from bundle.errors import RefusedVersion, UsageError
from trainer import examples, export, pixels, warmup

TOLERANCE = manifest.TOLERANCE

Answer = Mapping[str, NDArray[Any]]

_STRING, _FLOAT = tf.string.as_datatype_enum, tf.float32.as_datatype_enum
_ANY_RANK = None
# Signature -> (inputs, outputs), each name -> (dtype, dimensions).
_CONTRACT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    export.SERVING_DEFAULT: (
        {export.IMAGES: (_FLOAT, [-1, -1, -1, 3])},
        {export.LOGITS: (_FLOAT, [-1, "classes"])},
    ),
    export.SERVING_BYTES: (
        {export.ENCODED: (_STRING, _ANY_RANK)},
        {export.LOGITS: (_FLOAT, [-1, "classes"])},
    ),
    export.SERVING_LABELS: (
        {export.ENCODED: (_STRING, _ANY_RANK)},
        {
            "label": (_STRING, [-1]),
            "probability": (_FLOAT, [-1]),
            "probabilities": (_FLOAT, [-1, "classes"]),
        },
    ),
}


class LoadedVersion:
    """A SavedModel in a session of its own, as TensorFlow Serving loads it."""

    def __init__(self, folder: Path) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        self.signatures: dict[str, Any] = dict(
            tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder)).signature_def
        )

    def run(self, signature: str, inputs: Mapping[str, Any]) -> Answer:
        """All outputs of `signature` by name."""
        found = self.signatures[signature]
        feeds = {found.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: tensor.name for name, tensor in found.outputs.items()}
        answer: Answer = self._session.run(fetches, feeds)
        return answer


def verify(folder: Path) -> float:
    """The largest difference between the version's answers and its manifest's logits, when all is well.

    Raises RefusedVersion that names what is wrong: files, signatures, logits beyond TOLERANCE, labels, warmup records.
    """
    found = manifest.read(folder)
    if found is None:
        raise UsageError(f"{folder} has no {manifest.FOLDER}/{manifest.NAME}; only versions with one can be verified")
    _refuse(manifest.damage(folder, found))
    if not found.examples:
        raise RefusedVersion(f"the manifest of {folder} holds no examples to verify it with")
    try:
        version = LoadedVersion(folder)
        _refuse(contract_problems(version.signatures, len(found.classes)))
        contents = examples.contents(folder, found.examples)
        difference = _compare_logits(version, contents, found)
        _check_labels(version, contents, found.classes)
        _replay_warmup(version, folder)
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise RefusedVersion(f"{folder} does not load and answer: {error}") from error
    return difference


def contract_problems(signatures: Mapping[str, Any], classes: int) -> list[str]:
    """How `signatures` (name to SignatureDef) differ from those that every version has; empty when they do not."""
    problems = []
    for name, (inputs, outputs) in _CONTRACT.items():
        if name not in signatures:
            problems.append(f"signature {name} is missing; there are {', '.join(sorted(signatures))}")
            continue
        problems += _tensor_problems(f"inputs of {name}", signatures[name].inputs, inputs, classes)
        problems += _tensor_problems(f"outputs of {name}", signatures[name].outputs, outputs, classes)
    return problems


def _tensor_problems(where: str, found: Any, expected: Mapping[str, Any], classes: int) -> list[str]:
    described = {name: (info.dtype, _dimensions(info.tensor_shape)) for name, info in found.items()}
    wanted = {
        name: (dtype, shape and [classes if side == "classes" else side for side in shape])
        for name, (dtype, shape) in expected.items()
    }
    return [] if described == wanted else [f"{where} are {_in_words(described)}, expected {_in_words(wanted)}"]


def _dimensions(shape: Any) -> list[int] | None:
    return None if shape.unknown_rank else [int(dim.size) for dim in shape.dim]


def _in_words(tensors: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {tf.as_dtype(dtype).name} {'of any rank' if shape is None else shape}"
        for name, (dtype, shape) in sorted(tensors.items())
    ]
    return ", ".join(parts) or "nothing"


def _compare_logits(version: LoadedVersion, contents: Sequence[bytes], found: manifest.Manifest) -> float:
    expected = np.array([example.logits for example in found.examples], np.float32)
    answers = {
        export.SERVING_DEFAULT: _ask_pixels(version, contents),
        export.SERVING_BYTES: version.run(export.SERVING_BYTES, {export.ENCODED: contents})[export.LOGITS],
        f"{export.SERVING_BYTES}, one image at a time,": np.concatenate(
            [version.run(export.SERVING_BYTES, {export.ENCODED: one})[export.LOGITS] for one in contents[:2]]
        ),
    }
    worst = 0.0
    for what, logits in answers.items():
        difference = float(np.max(np.abs(logits - expected[: len(logits)])))
        if not difference <= TOLERANCE:
            raise RefusedVersion(
                f"{what} differs from the trained model by {difference:.2g}; at most {TOLERANCE:g} is allowed"
            )
        worst = max(worst, difference)
    return worst


def _ask_pixels(version: LoadedVersion, contents: Sequence[bytes]) -> NDArray[Any]:
    images = [pixels.to_rgb(pixels.open_image(content)).numpy().astype(np.float32) for content in contents]
    answers = []
    for _, alike in itertools.groupby(images, key=np.shape):
        answers.append(version.run(export.SERVING_DEFAULT, {export.IMAGES: np.stack(list(alike))})[export.LOGITS])
    return np.concatenate(answers)


def _check_labels(version: LoadedVersion, contents: Sequence[bytes], classes: Sequence[str]) -> None:
    answer = version.run(export.SERVING_LABELS, {export.ENCODED: contents})
    logits = version.run(export.SERVING_BYTES, {export.ENCODED: contents})[export.LOGITS]
    labels = [label.decode() for label in answer["label"]]
    if labels != [classes[index] for index in np.argmax(logits, axis=-1)]:
        raise RefusedVersion("serving_labels names other classes than the largest logits of serving_bytes")
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    if not np.allclose(answer["probabilities"], odds / odds.sum(axis=-1, keepdims=True), atol=1e-5):
        raise RefusedVersion("serving_labels gives other probabilities than the softmax of serving_bytes")


def _replay_warmup(version: LoadedVersion, folder: Path) -> None:
    path = folder / manifest.FOLDER / warmup.NAME
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        version.run(request.model_spec.signature_name, inputs)


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise RefusedVersion("; ".join(problems))
