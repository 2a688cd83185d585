"""Fit a model type to samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bundle import output
from bundle.errors import BundleError, UsageError
from trainer import checkpoint, devices, pipeline, progress
from trainer.best import BestEpoch
from trainer.datasets.base import Samples
from trainer.models import ImageClassifierModel


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that decides how a fit goes, with no `auto` left."""

    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    seed: int
    weights: str
    mixed_precision: bool


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained float32 model, its history (one mapping per epoch) and the index of the epoch its weights are from."""

    model: Any
    history: tuple[Mapping[str, float], ...]
    best_epoch: int


def fit(
    model_type: ImageClassifierModel,
    plan: Plan,
    classes: int,
    train: Samples,
    validation: Samples,
    run: Path,
    dataset: str = "",
) -> Fitted:
    """Train and return the best epoch's model; goes on from a checkpoint for `dataset` that is in the folder `run`."""
    data = pipeline.training_batches(train, plan.image_size, plan.batch_size, plan.seed)
    check = pipeline.batches(validation, plan.image_size, plan.batch_size)
    steps = math.ceil(len(train) / plan.batch_size)
    with devices.precision(plan.mixed_precision), devices.strategy().scope():
        model = model_type.build(plan.image_size, classes, plan.weights)
        _compile(model, plan, steps)
        best = BestEpoch(plan.patience)
        before = _go_on(model, best, run, dataset)
    first = len(before)
    report = progress.reporter(plan.epochs, steps, first)
    callbacks = [keras.callbacks.TerminateOnNaN(), best, checkpoint.Checkpoint(run, dataset, best, before), report]
    rows = before
    try:
        if first < plan.epochs and not (before and best.is_over(first - 1)):
            rows += _rows(
                model.fit(
                    data,
                    validation_data=check,
                    initial_epoch=first,
                    epochs=plan.epochs,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                ).history
            )
        else:
            model.set_weights(best.weights)
    finally:
        report.close()
    if best.epoch is None or not all(math.isfinite(row["loss"]) for row in rows):
        raise BundleError(
            f"the loss became infinite with LEARNING_RATE={plan.learning_rate:g}; try a tenth of it. "
            "Nothing was published"
        )
    return Fitted(_in_float32(model_type, model, plan.image_size, classes), rows, best.epoch)


def _go_on(model: Any, best: BestEpoch, run: Path, dataset: str) -> checkpoint.Rows:
    """Bring the model to the state of the run's checkpoint, if there is one; returns the epochs before."""
    if not (run / checkpoint.NAME).is_file():
        return ()
    saved = checkpoint.read(run)
    if saved.dataset != dataset:
        raise UsageError(f"{run} was trained on other images than there are now; train anew, without RESUME")
    try:
        saved.restore(model, best)
    except ValueError as error:
        raise BundleError(f"the checkpoint in {run} does not fit the model: {error}; train anew") from error
    output.step(f"going on after epoch {len(saved.history)}")
    return saved.history


def _compile(model: Any, plan: Plan, steps_per_epoch: int) -> None:
    # The rate falls to nothing over the planned epochs, so that the last ones settle instead of jumping about.
    rate = keras.optimizers.schedules.CosineDecay(plan.learning_rate, plan.epochs * steps_per_epoch)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def _in_float32(model_type: ImageClassifierModel, trained: Any, image_size: int, classes: int) -> Any:
    """The same network and weights in plain float32 on the CPU, whatever they were trained on and with.

    Its logits are the reference for every engine, and mirrored or float16 graphs cannot be served everywhere.
    """
    import tensorflow as tf

    with tf.device("/CPU:0"):
        model = model_type.build(image_size, classes)
        model.set_weights(trained.get_weights())
    return model


def _rows(history: Mapping[str, list[float]]) -> tuple[Mapping[str, float], ...]:
    names = list(history)
    return tuple(
        {name: float(value) for name, value in zip(names, values, strict=True)}
        for values in zip(*history.values(), strict=True)
    )
