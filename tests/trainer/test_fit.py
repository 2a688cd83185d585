from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from bundle import environment
from bundle.errors import BundleError
from trainer import datasets, devices, evaluate, models
from trainer.best import BestEpoch
from trainer.datasets import Samples
from trainer.fit import Fitted, Plan, fit

PLAN = Plan(
    image_size=16,
    epochs=2,
    batch_size=32,
    learning_rate=2e-3,
    patience=5,
    seed=1,
    weights="none",
    mixed_precision=False,
)


def some_digits(root: Path, count: int = 256) -> Samples:
    digits = datasets.load(environment.load(root, {"DATASET": "digits"})).train
    return digits.take(range(0, len(digits), len(digits) // count))


def fitted(folder: Path, **changes: Any) -> tuple[Fitted, Samples]:
    samples = some_digits(folder)
    plan = Plan(**{**PLAN.__dict__, **changes})
    devices.prepare(plan.seed)
    run = Path(tempfile.mkdtemp(dir=folder))  # In the folder of another run it would go on with that one.
    return fit(models.get("LenetModel"), plan, 10, samples, samples, run), samples


def test_the_seed_decides_the_result(tmp_path: Path) -> None:
    answers = []
    for seed in (1, 1, 2):
        result, samples = fitted(tmp_path, seed=seed)
        answers.append(evaluate.logits(result.model, samples, PLAN.image_size))
    assert np.allclose(answers[0], answers[1], atol=1e-3)
    assert not np.allclose(answers[0], answers[2], atol=1e-1)


def test_the_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    # A rate that is far too high for long makes later epochs worse than earlier ones.
    result, samples = fitted(tmp_path, epochs=6, learning_rate=0.03)
    answers = evaluate.logits(result.model, samples, PLAN.image_size)
    best = max(row["val_accuracy"] for row in result.history)
    assert evaluate.accuracy(answers, samples.labels) == pytest.approx(best, abs=1e-6)
    assert result.history[result.best_epoch]["val_accuracy"] == best


def test_mixed_precision_ends_in_a_float32_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, samples = fitted(tmp_path, mixed_precision=True, epochs=1)
    assert "float16 is slower" in capsys.readouterr().err
    assert {layer.compute_dtype for layer in result.model.layers} == {"float32"}
    assert keras.mixed_precision.global_policy().name == "float32"
    assert np.isfinite(evaluate.logits(result.model, samples, PLAN.image_size)).all()


def test_a_loss_that_explodes_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"LEARNING_RATE=1e\+30; try a tenth of it"):
        fitted(tmp_path, learning_rate=1e30)


class _Scripted:
    """Stands in for a model: only what BestEpoch touches."""

    stop_training = False

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_weights(self) -> list[Any]:
        self.calls.append("get")
        return []

    def set_weights(self, weights: list[Any]) -> None:
        self.calls.append("set")


def run_epochs(accuracies: list[float], patience: int) -> tuple[BestEpoch, _Scripted, int]:
    callback, model = BestEpoch(patience), _Scripted()
    callback.set_model(model)
    epochs = 0
    for epoch, accuracy in enumerate(accuracies):
        callback.on_epoch_end(epoch, {"val_accuracy": accuracy})
        epochs += 1
        if model.stop_training:
            break
    callback.on_train_end()
    return callback, model, epochs


def test_training_stops_after_patience_epochs_without_a_better_one() -> None:
    callback, model, epochs = run_epochs([0.5, 0.9, 0.8, 0.7, 0.6, 1.0], patience=3)
    assert (callback.epoch, epochs) == (1, 5)
    assert model.calls == ["get", "get", "set"]


def test_the_last_of_equal_epochs_is_best_but_does_not_put_off_the_stop() -> None:
    callback, model, epochs = run_epochs([0.5, 0.9, 0.9, 0.8, 0.9, 1.0], patience=3)
    assert (callback.epoch, epochs) == (4, 5)
    assert model.calls == ["get", "get", "get", "get", "set"]


_MIRRORED = """
import sys
import tempfile
from pathlib import Path
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.trainer.test_fit import PLAN, fitted
from trainer import devices, evaluate
devices.strategy = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
result, samples = fitted(Path(sys.argv[1]), epochs=4)
print(evaluate.accuracy(evaluate.logits(result.model, samples, PLAN.image_size), samples.labels))
"""


def test_several_devices_train_one_model(tmp_path: Path) -> None:
    # Two logical CPUs take the place of two GPUs; they have to be set up before TensorFlow starts.
    command = [sys.executable, "-W", "ignore", "-c", _MIRRORED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) > 0.5
