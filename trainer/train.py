"""The whole way from a dataset to a published version."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bundle import manifest, output
from bundle.errors import BundleError, UsageError
from bundle.models_config import base_paths
from bundle.publish import publish
from bundle.settings import Settings
from trainer import datasets, devices, evaluate, examples, export, fresh, models, plots, runs, splits, warmup
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


def train(settings: Settings, target: Path | None = None) -> Path:
    """Train, export, verify in a fresh process, and publish; or leave the version in the new folder `target`.

    Returns the version's folder; there is none unless all of it went well.
    """
    with _unpublished():
        job = _prepare(settings)
    with runs.new(settings.runs_dir) as (run, scratch):
        with _unpublished():
            candidate = _candidate(job, run, scratch)
        version = _publish(settings, candidate) if target is None else candidate.rename(target)
    output.line(f"    curves, confusion matrix and settings: {_relative(run)}")
    return version


def _publish(settings: Settings, candidate: Path) -> Path:
    version = publish(candidate, _base_path(settings), settings.quarantine_dir / settings.model_name)
    output.step(f"published {settings.model_name} version {version.number}: {_relative(version.path)}")
    return version.path


@contextlib.contextmanager
def _unpublished() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was published") from None


def _candidate(job: _Job, run: Path, scratch: Path) -> Path:
    """Train into the folder `run` and return a verified export in `scratch`."""
    test, classes = job.dataset.test, job.dataset.classes
    plots.write_settings(run, job.recorded())
    fitted = fit(job.model_type, job.plan, len(classes), job.train, job.validation, scratch)
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
    config = settings.root / "models.config"
    listed = base_paths(config, settings.models_dir)
    if settings.model_name not in listed:
        output.warn(f"{config} lists no model {settings.model_name}: add it there to have it served")
    return listed.get(settings.model_name, settings.models_dir / settings.model_name)


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
