"""The SavedModels that are served: made once with seeded, untrained weights, kept in bench/.cache.

`python -m bench.savedmodels FOLDER NAME...` writes them; a process of its own, so that the bench itself stays small.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from bench import pictures
from bench.cases import FROZEN, MODELS, Model
from bundle import files, manifest, output
from bundle.errors import BundleError

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
CLASSES = tuple(str(number) for number in range(10))
SEED = 42

_MADE_FROM = "made-from.txt"
_SOURCES = (
    "bench/savedmodels.py",
    "bench/pictures.py",
    "bundle/manifest.py",
    "trainer/export.py",
    "trainer/pixels.py",
    "trainer/warmup.py",
)


def prepare(models: Iterable[Model]) -> None:
    """Make those of `models` that are not in the cache, or from other sources; raises BundleError when that fails."""
    missing = [model.name for model in models if not _is_current(model)]
    if missing:
        output.step(f"making {', '.join(missing)}")
        command = [sys.executable, "-m", "bench.savedmodels", str(CACHE), *missing]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BundleError(f"the SavedModels could not be made; the last lines are\n{done.stderr[-2000:]}")
    files.write_atomically(CACHE / "models.config", _config())


def folder(model: Model) -> Path:
    """Where version 1 of `model` lies."""
    return CACHE / model.name / "1"


def write(model: Model, target: Path) -> None:
    """Write `model` into `target`: frozen ones with warmup records, as the trainer does; plain ones as Keras does."""
    import keras

    from trainer import export, models, warmup

    keras.utils.set_random_seed(SEED)
    size = model.subject.image_size
    network = models.get(model.subject.model_type).build(size, len(CLASSES))
    if model.form == FROZEN:
        export.write(network, size, CLASSES, target)
        warmup.write(target, model.name, [pictures.encoded(size)], size)
        return _describe(model, target)
    archive = keras.export.ExportArchive()
    archive.track(network)
    for name, signature in export.signatures(lambda images: network(images, training=False), size, CLASSES).items():
        archive.add_endpoint(name, signature)
    archive.write_out(target, verbose=False)
    return _describe(model, target)


def _describe(model: Model, target: Path) -> None:
    """Write a manifest as the trainer does: without it nobody says that pictures may be answered together."""
    import tensorflow

    from trainer import export

    manifest.write(
        target,
        manifest.Manifest(
            tensorflow_version=tensorflow.__version__,
            model_type=model.subject.model_type,
            classes=CLASSES,
            image_size=model.subject.image_size,
            dataset=manifest.Dataset("none", "", 0, 0, 0),
            settings={},
            test_accuracy=0.0,
            confusion_matrix=(),
            created="",
            examples=(),
            row_wise=export.ROW_WISE,
        ),
    )


def _is_current(model: Model) -> bool:
    made_from = CACHE / model.name / _MADE_FROM
    return made_from.is_file() and made_from.read_text(encoding="utf-8") == _fingerprint()


def _fingerprint() -> str:
    """Of everything that decides what is written."""
    root = HERE.parent
    sources = [*(root / name for name in _SOURCES), *sorted((root / "trainer" / "models").glob("*.py"))]
    sources.append(root / "requirements" / "base.txt")
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest() + "\n"


def _config() -> str:
    """A models.config for another server that is to be measured on the same models."""
    entries = (
        f'  config {{ name: "{model.name}" base_path: "{CACHE / model.name}" model_platform: "tensorflow" }}\n'
        for model in MODELS
        if folder(model).is_dir()
    )
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def _main(cache: Path, names: Iterable[str]) -> None:
    by_name = {model.name: model for model in MODELS}
    for name in names:
        base_path = cache / name
        files.remove(base_path)
        base_path.mkdir(parents=True)
        staged = base_path / ".staged"
        write(by_name[name], staged)
        staged.rename(base_path / "1")
        files.write_atomically(base_path / _MADE_FROM, _fingerprint())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
