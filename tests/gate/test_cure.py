"""What is said against a version that does not load or answer helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.settings import Settings
from rollout import gate
from rollout.gate import cure
from tests.engine.made import made_once


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of Keras 3, once as a tf.Module saves it and once as the cure says."""
    return made_once("tests.gate.cured_models", tmp_path_factory)


def test_a_keras_model_in_a_module_is_told_how_to_be_written(models: Path, settings: Settings) -> None:
    report = gate.run(models / "saved", None, settings)
    assert not report.passed
    assert "keras.export.ExportArchive" in report.reason_and_cure


def test_the_cure_cures(models: Path, settings: Settings) -> None:
    report = gate.run(models / "exported", None, settings)
    assert report.passed, report.reason


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        ("FAILED_PRECONDITION: Could not find variable dense/bias", "ExportArchive"),
        ("NOT_FOUND: Op type not registered 'Foo' in binary", "make doctor"),
        ("DATA_LOSS: TensorBundle at variables/variables shard 0", "copy the folder again"),
        ("something else", "tf.saved_model.load"),
    ],
)
def test_each_problem_has_its_cure(said: str, helps: str) -> None:
    assert helps in cure.of(said)
