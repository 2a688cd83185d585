"""How right a version, or a model that Keras saved, is on a test set; no server is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bundle import manifest, output
from bundle.errors import BundleError, UsageError
from bundle.settings import Settings
from bundle.text import printable
from trainer import datasets, evaluate, export, pixels, quiet, resume
from trainer.datasets import Samples, folder, png
from trainer.verify import LoadedVersion

_BATCH = 64
_WIDEST_NAME = 20
_MOST_COLUMNS = 20
_WORST = 10

Logits = NDArray[np.float32]
# From samples to [samples, classes].
Ask = Callable[[Samples], Logits]


def measure(settings: Settings, path: Path) -> None:
    """Print how right a version's folder or a .keras file is: in all, by class, and what it takes for what.

    With DATASET=folder the test set is DATA_DIR/test, or DATA_DIR where there is no such folder. Raises UsageError
    when there is nothing to measure, or the classes are others.
    """
    ask, classes = _keras(path) if path.suffix == ".keras" else _version(path)
    test, names = _test_set(settings, classes)
    output.step(f"asking {path} about {len(test)} test images of {settings.dataset}")
    with quiet.native_stderr():
        answers = ask(test)
    if answers.ndim != 2 or answers.shape[1] < len(names):
        raise UsageError(f"{path} answers with numbers of shape {answers.shape[1:]}; expected one for each class")
    if classes is None and answers.shape[1] != len(names):
        raise UsageError(
            f"{path} tells {answers.shape[1]} classes apart, and the test set has {len(names)}: {', '.join(names)}"
        )
    _tell(answers, test.labels, names)


def _version(path: Path) -> tuple[Ask, tuple[str, ...] | None]:
    if not (path / "saved_model.pb").is_file():
        raise UsageError(
            f"{path} holds no saved_model.pb; give the folder of one version, or a file that ends in .keras"
        )
    document = manifest.read(path)
    try:
        with quiet.native_stderr():  # TensorFlow reports what it does not do.
            loaded = LoadedVersion(path)
    except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"{path} does not load: {error}") from error
    found = loaded.signatures.get(export.SERVING_BYTES)
    if found is None or export.ENCODED not in found.inputs or export.LOGITS not in found.outputs:
        raise UsageError(
            f"{path} has no signature {export.SERVING_BYTES} from {export.ENCODED} to {export.LOGITS}; it has "
            f"{', '.join(sorted(loaded.signatures))}"
        )

    def ask(samples: Samples) -> Logits:
        parts = [
            loaded.run(export.SERVING_BYTES, {export.ENCODED: [_upright(samples, index) for index in batch]})
            for batch in _batches(len(samples))
        ]
        return np.concatenate([part[export.LOGITS] for part in parts])

    return ask, document.classes if document else None


def _keras(path: Path) -> tuple[Ask, tuple[str, ...] | None]:
    import keras

    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        model = keras.saving.load_model(path, compile=False)
        sides = model.input_shape[1:3]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} does not load: {error}") from error
    if len(set(sides)) != 1 or not sides[0]:
        raise UsageError(f"{path} takes {model.input_shape}; expected pictures with sides of one fixed length")
    return lambda samples: evaluate.logits(model, samples, int(sides[0])), _classes_beside(path)


def _classes_beside(path: Path) -> tuple[str, ...] | None:
    """The classes in the settings of the run that the file is in; None when it is in none."""
    try:
        recorded: Any = json.loads((path.parent / resume.SETTINGS_FILE).read_text(encoding="utf-8"))
        return tuple(str(name) for name in recorded["classes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _test_set(settings: Settings, classes: tuple[str, ...] | None) -> tuple[Samples, tuple[str, ...]]:
    """The test set with labels that count in `classes`, or in its own where those are not known."""
    if settings.dataset == "folder":
        names, test = folder.load_test(settings.data_dir)
    else:
        dataset = datasets.load(settings)
        names, test = dataset.classes, dataset.test
    if classes is None or classes == names:
        return test, names
    strange = sorted(set(names) - set(classes))
    if strange:
        raise UsageError(
            f"the test set has classes that the model does not know: {', '.join(map(printable, strange))}; it knows "
            f"{', '.join(map(printable, classes))}"
        )
    numbers = np.array([classes.index(name) for name in names], np.int64)
    return Samples(test.sources, numbers[test.labels], test.orientations), classes


def _batches(count: int) -> list[range]:
    return [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]


def _upright(samples: Samples, index: int) -> bytes:
    """The image as a client is to send it."""
    content, turn = samples.content(index), samples.orientation(index)
    if turn == 1:
        return content
    image = pixels.to_rgb(pixels.upright(pixels.open_image(content), turn))
    return png.encode(image.numpy())


def _tell(answers: Logits, labels: NDArray[np.int64], names: Sequence[str]) -> None:
    matrix = np.array(evaluate.confusion(answers[:, : len(names)], labels))
    right, images = matrix.diagonal(), matrix.sum(axis=1)
    said = matrix.sum(axis=0)
    short = [_short(name) for name in names]
    width = max(map(len, short))
    output.line(f"accuracy {right.sum() / images.sum():.4f}: {right.sum()} of {images.sum()} are right")
    output.line(f"\n  {'class':<{width}}  images   right  accuracy  precision")
    for row, name in enumerate(short):
        shares = [
            f"{part / whole:.4f}" if whole else "-"
            for part, whole in ((right[row], images[row]), (right[row], said[row]))
        ]
        output.line(f"  {name:<{width}}  {images[row]:>6}  {right[row]:>6}  {shares[0]:>8}  {shares[1]:>9}")
    _tell_confusions(matrix, short, width)


def _tell_confusions(matrix: NDArray[np.int64], names: Sequence[str], width: int) -> None:
    if len(names) <= _MOST_COLUMNS:
        cell = max(4, *(len(name) for name in names)) + 1
        output.line(f"\n  true \\ answered, in images\n  {'':<{width}}" + "".join(f"{name:>{cell}}" for name in names))
        for row, name in enumerate(names):
            output.line(f"  {name:<{width}}" + "".join(f"{count:>{cell}}" for count in matrix[row]))
        return
    wrong = matrix - np.diag(matrix.diagonal())
    output.line("\n  what is taken for what most often")
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_WORST]:
        true, answered = np.unravel_index(place, wrong.shape)
        if wrong[true, answered]:
            output.line(f"  {names[true]:<{width}}  for {names[answered]}: {wrong[true, answered]} images")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "-"


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _WIDEST_NAME else f"{text[: _WIDEST_NAME - 3]}..."
