from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from bundle import manifest
from bundle.errors import BundleError, RefusedVersion, UsageError
from tests.trainer.conftest import Published, fresh_trainer, trainer
from trainer import warmup
from trainer.verify import TOLERANCE, verify


@pytest.fixture
def copy(published: Published, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published.version, tmp_path / "version"))


def rewrite(folder: Path, **changes: object) -> None:
    found = manifest.read(folder)
    assert found is not None
    manifest.write(folder, dataclasses.replace(found, **changes))  # type: ignore[arg-type]


def test_what_was_published_verifies_in_a_fresh_process(published: Published) -> None:
    status, out, _ = fresh_trainer(published.root, "verify", str(published.version))
    assert status == 0
    assert "reproduces the trained model's logits within" in out


def test_other_logits_are_refused_with_the_difference_and_exit_status_3(published: Published, copy: Path) -> None:
    first, *rest = published.manifest.examples
    off = dataclasses.replace(first, logits=(first.logits[0] + 3 * TOLERANCE, *first.logits[1:]))
    rewrite(copy, examples=(off, *rest))
    status, _, err = trainer(published.root, "verify", str(copy))
    assert status == 3
    assert "differs from the trained model by 0.0003" in err
    assert "Traceback" not in err


def test_logits_that_are_no_numbers_are_refused(published: Published, copy: Path) -> None:
    examples = [dataclasses.replace(example, logits=(float("nan"),) * 10) for example in published.manifest.examples]
    rewrite(copy, examples=tuple(examples))
    with pytest.raises(BundleError, match="JSON is malformed"):
        verify(copy)


def test_a_damaged_file_is_refused_by_name(copy: Path) -> None:
    content = bytearray((copy / "saved_model.pb").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "saved_model.pb").write_bytes(content)
    with pytest.raises(RefusedVersion, match=r"saved_model\.pb"):
        verify(copy)


def test_a_graph_that_does_not_load_is_refused(copy: Path) -> None:
    (copy / "saved_model.pb").write_bytes(b"not a graph")
    rewrite(copy)
    with pytest.raises(RefusedVersion, match="does not load and answer"):
        verify(copy)


def test_missing_signatures_are_refused_by_name(copy: Path) -> None:
    def mean_colour(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"output_0": tf.reduce_mean(input_tensor, axis=(1, 2))}

    spec = tf.TensorSpec((None, None, None, 3), tf.float32, "input_tensor")
    signature = tf.function(mean_colour, input_signature=[spec])
    tf.saved_model.save(tf.Module(), str(copy), signatures={"serving_default": signature})
    rewrite(copy)
    with pytest.raises(RefusedVersion) as refused:
        verify(copy)
    assert "signature serving_bytes is missing" in str(refused.value)
    assert "output_0 float32 [-1, 3], expected output_0 float32 [-1, 10]" in str(refused.value)


def test_other_labels_are_refused(published: Published, copy: Path) -> None:
    rewrite(copy, classes=tuple(reversed(published.manifest.classes)))
    with pytest.raises(RefusedVersion, match="serving_labels names other classes"):
        verify(copy)


def test_warmup_that_cannot_be_answered_is_refused(copy: Path) -> None:
    warmup_path = copy / "assets.extra" / warmup.NAME
    warmup_path.unlink()
    warmup.write(copy, "Digits", [(copy / "assets.extra/examples/000.png").read_bytes()], 28)
    content = warmup_path.read_bytes()
    warmup_path.write_bytes(content[:-5])
    rewrite(copy)
    with pytest.raises(RefusedVersion, match="does not load and answer"):
        verify(copy)


def test_a_version_without_manifest_cannot_be_verified(copy: Path) -> None:
    manifest.manifest_path(copy).unlink()
    with pytest.raises(UsageError, match=r"no assets\.extra/bundle\.json"):
        verify(copy)
