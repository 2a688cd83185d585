"""The whole way from a dataset to a finished training, staged for its release."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bundle import files, manifest, output
from bundle.errors import BundleError, UsageError
from bundle.models_config import base_path_of
from bundle.publish import stage_training
from bundle.settings import Settings
from trainer import (
    checkpoint,
    datasets,
    devices,
    evaluate,
    examples,
    export,
    fresh,
    models,
    plots,
    runs,
    splits,
    warmup,
)
from trainer.datasets import Dataset, Samples
from trainer.fit import Plan, fit


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is trained on what, and how."""

    settings: Settings
    model_type: models.ImageClassifierModel
    plan: Plan
    dataset: Dataset
    train: Samples
    validation: Samples

    def recorded(self) -> dict[str, Any]:
        """The settings that decided the result, for the manifest and the run folder."""
        return {
            "model_name": self.settings.model_name,
            "model_type": self.settings.model_type,
            "dataset": self.settings.dataset,
            "validation_split": self.settings.validation_split,
            **dataclasses.asdict(self.plan),
        }


class Interrupted(BundleError):
    """Ctrl-C before there was anything to publish."""

    exit_status = output.INTERRUPTED


_MODEL = "model.keras"
# TensorFlow's own writers speak of the disk in these words.
_OF_THE_DISK = re.compile("No space left|quota exceeded|File too large|Read-only file system", re.IGNORECASE)

KEPT = "trained"
"""The folder of a run that holds its version from the moment that it is finished until it is staged."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a finished training goes: into the new `folder`, or into the base path, under `name` when one is given."""

    folder: Path | None = None
    name: str | None = None


def train(settings: Settings, target: Target, resumed: Path | None = None) -> str | None:
    """Train, export, and verify in a fresh process; then stage the version for its release, or leave it in a folder.

    Returns the name that it is staged under, None in a folder. Nothing here makes a version live. Once the training is
    finished it is kept, whatever happens; until then its run keeps what is needed to go on. `resumed` is a run to go
    on with.
    """
    base_path = _base_path(settings) if target.folder is None else None
    with _unpublished():
        job = _prepare(settings)
    with runs.new(settings.runs_dir) if resumed is None else runs.again(resumed) as (run, scratch):
        if base_path is not None:
            _require_writable(base_path)
        with _unpublished(run):
            candidate = _candidate(job, run, scratch)
        checkpoint.forget(run)
        output.line(f"    curves, confusion matrix and settings: {_relative(run)}")
        if base_path is None:
            candidate.rename(target.folder or run / KEPT)
            return None
        name = target.name or f"{run.name}-{uuid.uuid4().hex[:8]}"
        _stage(candidate.rename(run / KEPT), base_path, settings, name)
    return name


def _stage(finished: Path, base_path: Path, settings: Settings, name: str) -> None:
    """Bring a finished training into the base path; it stays in its run's folder when that cannot be done."""
    try:
        staged = stage_training(finished, base_path, settings.quarantine_dir / settings.model_name, name)
    except (BundleError, OSError, KeyboardInterrupt) as error:
        what = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        kind = Interrupted if isinstance(error, KeyboardInterrupt) else BundleError
        raise kind(
            f"{what}. The training is kept in {finished}; publish it with: make publish FROM={_relative(finished)}"
        ) from error
    files.remove(finished)
    output.step(f"staged {settings.model_name}: {_relative(staged)}")


def _require_writable(base_path: Path) -> None:
    """Raise BundleError before the minutes that a training takes, when its version could not be staged."""
    nearest = next(path for path in (base_path, *base_path.parents) if path.is_dir())
    problem = files.why_not_writable(nearest)
    if problem:
        raise BundleError(problem)


@contextlib.contextmanager
def _unpublished(run: Path | None = None) -> Iterator[None]:
    """Say in one line why nothing came of it, and how `run` can be gone on with."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; nothing was published{_how_to_go_on(run)}") from None
    except (OSError, tf.errors.OpError) as error:
        if run is None or (isinstance(error, tf.errors.OpError) and not _OF_THE_DISK.search(error.message)):
            raise
        what = (error.strerror or str(error)) if isinstance(error, OSError) else error.message.splitlines()[0]
        raise BundleError(f"cannot write into {run}: {what}; nothing was published{_how_to_go_on(run)}") from error


def _how_to_go_on(run: Path | None) -> str:
    there = run is not None and (run / checkpoint.NAME).is_file()
    return f"; go on with it: make train RESUME={_relative(run)}" if run is not None and there else ""


def _candidate(job: _Job, run: Path, scratch: Path) -> Path:
    """Train into the folder `run` and return a verified export in `scratch`."""
    test, classes = job.dataset.test, job.dataset.classes
    plots.write_settings(run, {**job.recorded(), "classes": classes})
    fingerprint = job.dataset.fingerprint()
    fitted = fit(job.model_type, job.plan, len(classes), job.train, job.validation, run, fingerprint)
    _save(fitted.model, run)
    plots.write_history(run, fitted.history)
    answers = evaluate.logits(fitted.model, test, job.plan.image_size)
    plots.write_confusion(run, evaluate.confusion(answers, test.labels), classes)
    output.step(
        f"test accuracy {evaluate.accuracy(answers, test.labels):.4f} on {len(test)} images "
        f"(weights of epoch {fitted.best_epoch + 1})"
    )
    folder = scratch / "export"
    _export(job, fitted.model, answers, folder)
    output.step(f"verified in a fresh process: {fresh.verify(folder)}")
    return folder


def _save(model: Any, run: Path) -> None:
    """Write model.keras, for Keras's own tools."""
    # What `model.save` calls, which itself takes nothing but names of files.
    from keras.src.saving import saving_lib

    packed = io.BytesIO()
    saving_lib.save_model(model, packed)
    checkpoint.write(run / _MODEL, packed)


def _prepare(settings: Settings) -> _Job:
    model_type = models.get(settings.model_type)
    devices.prepare(settings.seed)
    dataset = datasets.load(settings)
    kept, held = splits.stratified(dataset.train.labels, settings.validation_split, settings.seed)
    if not len(held):
        raise UsageError(
            f"dataset {dataset.name} has one training image per class; give at least two of some class, "
            "one of them is held back to know when to stop"
        )
    alone = sorted(set(range(len(dataset.classes))) - set(dataset.train.labels[held].tolist()))
    if alone:
        names = ", ".join(dataset.classes[label] for label in alone)
        output.warn(f"no validation image for {names}: one training image is not enough for both; give two or more")
    job = _Job(
        settings, model_type, _plan(settings, model_type), dataset, dataset.train.take(kept), dataset.train.take(held)
    )
    output.step(
        f"dataset {dataset.name}: {len(dataset.classes)} classes, "
        f"{len(kept)} training, {len(held)} validation and {len(dataset.test)} test images"
    )
    size = job.plan.image_size
    output.step(f"training {settings.model_type} at {size}x{size} on the {devices.describe()}, seed {settings.seed}")
    return job


def _base_path(settings: Settings) -> Path:
    """Where models.config has the model, so that a base path of the user's own is found by the trainer as well."""
    return base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)


def _plan(settings: Settings, model_type: models.ImageClassifierModel) -> Plan:
    return Plan(
        image_size=settings.image_size or model_type.image_size,
        epochs=settings.epochs or model_type.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate or model_type.learning_rate,
        patience=settings.patience,
        seed=settings.seed,
        weights=settings.weights,
        mixed_precision=settings.mixed_precision,
    )


def _export(job: _Job, model: Any, answers: NDArray[np.float32], folder: Path) -> None:
    size = job.plan.image_size
    export.write(model, size, job.dataset.classes, folder)
    held_out = examples.as_png(examples.choose(job.dataset.test, job.settings.seed), size)
    described = examples.write(folder, model, held_out, size)
    warmup.write(folder, job.settings.model_name, examples.contents(folder, described), size)
    manifest.write(
        folder,
        manifest.Manifest(
            tensorflow_version=tf.__version__,
            model_type=job.settings.model_type,
            classes=job.dataset.classes,
            image_size=size,
            dataset=_dataset(job),
            settings=job.recorded(),
            test_accuracy=evaluate.accuracy(answers, job.dataset.test.labels),
            confusion_matrix=evaluate.confusion(answers, job.dataset.test.labels),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            examples=described,
            row_wise=export.ROW_WISE,
        ),
    )
    megabytes = (folder / "saved_model.pb").stat().st_size / 1e6
    output.step(f"exported with its weights frozen: saved_model.pb has {megabytes:.1f} MB")


def _dataset(job: _Job) -> manifest.Dataset:
    return manifest.Dataset(
        name=job.dataset.name,
        fingerprint=job.dataset.fingerprint(),
        train=len(job.train),
        validation=len(job.validation),
        test=len(job.dataset.test),
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
