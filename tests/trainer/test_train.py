from __future__ import annotations

import re
import stat
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from rollout import ledger
from tests.trainer.conftest import Published
from trainer import pixels


def test_the_defaults_reach_the_promised_accuracy_and_print_it(published: Published) -> None:
    assert published.manifest.test_accuracy >= 0.96
    assert f"test accuracy {published.manifest.test_accuracy:.4f}" in published.output


def test_nothing_but_our_own_lines_is_printed(published: Published) -> None:
    assert published.errors == ""
    ours = r"--> |    epoch \d|    curves|    (passed|noted|skipped) |    {5,}|no server was asked"
    assert [line for line in published.output.splitlines() if not re.match(ours, line)] == []


def test_it_ends_with_the_release_that_every_version_goes_through(published: Published) -> None:
    lines = [ledger.Ledger(published.root / "releases" / "Digits.jsonl").entries()[n] for n in range(3)]
    assert [(line.event, line.version, line.origin) for line in lines] == [
        ("checked", None, "training"),
        ("publishing", 1, "training"),
        ("published", 1, "training"),
    ]
    (run,) = (published.root / "runs").iterdir()
    assert {line.training.rpartition("-")[0] for line in lines} == {run.name}
    assert set(lines[0].verdicts.values()) <= {"passed", "noted", "skipped"}


def test_each_epoch_has_a_line_with_loss_accuracy_and_time_left(published: Published) -> None:
    lines = re.findall(
        r"epoch (\d+)/30  loss [\d.]+  accuracy [\d.]+  validation accuracy [\d.]+  \d+ s left", published.output
    )
    assert len(lines) >= 10
    assert lines == [str(epoch) for epoch in range(1, len(lines) + 1)]


def test_the_manifest_describes_the_training(published: Published) -> None:
    found = published.manifest
    assert found.tensorflow_version == tf.__version__
    assert (found.model_type, found.image_size) == ("LenetModel", 28)
    assert found.classes == tuple("0123456789")
    counts = found.dataset.train + found.dataset.validation + found.dataset.test
    assert (found.dataset.name, counts) == ("digits", 1797)
    assert found.settings["learning_rate"] == 0.002
    assert found.settings["seed"] == 42


def test_the_confusion_matrix_and_the_accuracy_agree(published: Published) -> None:
    matrix = np.array(published.manifest.confusion_matrix)
    assert matrix.sum() == published.manifest.dataset.test
    assert np.isclose(np.trace(matrix) / matrix.sum(), published.manifest.test_accuracy)


def test_the_examples_cover_every_class_as_evenly_as_200_can(published: Published) -> None:
    labels = [example.label for example in published.manifest.examples]
    assert len(labels) == 200
    assert set(np.bincount(labels, minlength=10)) == {20}


def test_the_run_folder_keeps_curves_matrix_settings_and_model_only(published: Published) -> None:
    (run,) = (published.root / "runs").iterdir()
    names = {path.name for path in run.iterdir()}
    assert names == {"history.csv", "history.png", "confusion_matrix.png", "settings.json", "model.keras"}


def test_the_version_is_readable_for_a_server_of_another_user(published: Published) -> None:
    for path in [published.version, *published.version.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_the_base_path_holds_one_version_and_no_leftovers(published: Published) -> None:
    names = [path.name for path in (published.root / "models" / "Digits").iterdir()]
    assert [name for name in names if not name.startswith(".")] == ["1"]
    assert not [name for name in names if name.startswith(".staging")]


def checkpoints_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".h5", ".npz", ".ckpt")]


def test_no_checkpoint_is_left_anywhere(published: Published) -> None:
    assert checkpoints_in(published.root) == []


def test_the_kept_model_answers_as_the_version_does(published: Published) -> None:
    (run,) = (published.root / "runs").iterdir()
    model = keras.saving.load_model(run / "model.keras")
    found = published.manifest
    contents = [(published.version / "assets.extra" / example.image).read_bytes() for example in found.examples[:16]]
    images = pixels.decode_batch(tf.constant(contents), found.image_size)
    expected = np.array([example.logits for example in found.examples[:16]], np.float32)
    np.testing.assert_allclose(model(images, training=False).numpy(), expected, atol=1e-4)
