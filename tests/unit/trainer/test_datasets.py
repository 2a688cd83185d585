from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import environment
from bundle.settings import Settings
from trainer import datasets
from trainer.datasets import png
from trainer.datasets.base import Dataset, Samples


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return datasets.load(settings_in(tmp_path_factory.mktemp("root")))


def settings_in(root: Path) -> Settings:
    return environment.load(root, {"DATASET": "digits"})


def test_digits_hold_all_1797_images_with_a_fifth_of_each_class_for_the_test(digits: Dataset) -> None:
    assert len(digits.train) + len(digits.test) == 1797
    assert digits.classes == tuple("0123456789")
    train, test = (np.bincount(part.labels, minlength=10) for part in (digits.train, digits.test))
    assert np.allclose(test / (train + test), 0.2, atol=0.01)


def test_no_digit_is_in_both_parts(digits: Dataset) -> None:
    assert not set(digits.train.sources) & set(digits.test.sources)


def test_digits_use_the_whole_range_of_grey(digits: Dataset) -> None:
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(digits.test.content(i)))) for i in range(50)])
    assert (pixels.min(), pixels.max(), pixels.shape) == (0, 255, (50, 8, 8))


def test_the_test_images_do_not_depend_on_the_seed(digits: Dataset, tmp_path: Path) -> None:
    other = datasets.load(dataclasses.replace(settings_in(tmp_path), seed=7))
    assert other.test.sources == digits.test.sources


def test_the_fingerprint_changes_with_any_image_label_class_or_split() -> None:
    images = tuple(png.encode(np.full((4, 4), value, np.uint8)) for value in range(4))

    def fingerprint(order: list[int], labels: list[int], split: int, classes: tuple[str, ...]) -> str:
        samples = Samples(tuple(images[i] for i in order), np.array(labels, np.int64))
        parts = samples.take(range(split)), samples.take(range(split, len(samples)))
        return Dataset("any", classes, *parts).fingerprint()

    original = fingerprint([0, 1, 2], [0, 1, 0], 2, ("a", "b"))
    assert original == fingerprint([0, 1, 2], [0, 1, 0], 2, ("a", "b"))
    others = {
        fingerprint([0, 1, 3], [0, 1, 0], 2, ("a", "b")),
        fingerprint([0, 1, 2], [0, 0, 0], 2, ("a", "b")),
        fingerprint([0, 1, 2], [0, 1, 0], 1, ("a", "b")),
        fingerprint([0, 1, 2], [0, 1, 0], 2, ("a", "c")),
    }
    assert len(others - {original}) == 4


def test_the_fingerprint_is_the_same_for_files_and_for_their_bytes(tmp_path: Path) -> None:
    content = png.encode(np.zeros((4, 4), np.uint8))
    (tmp_path / "one.png").write_bytes(content)
    labels = np.zeros(1, np.int64)
    in_memory, on_disk = Samples((content,), labels), Samples((tmp_path / "one.png",), labels)
    assert (
        Dataset("any", ("a",), in_memory, in_memory).fingerprint()
        == Dataset("any", ("a",), on_disk, on_disk).fingerprint()
    )


def test_samples_refuse_images_without_labels() -> None:
    with pytest.raises(ValueError, match="1 images but 0 labels"):
        Samples((b"x",), np.empty(0, np.int64))
