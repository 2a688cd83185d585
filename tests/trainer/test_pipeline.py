from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.test_fit import some_digits
from trainer import pipeline
from trainer.datasets import Samples


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return some_digits(tmp_path, 64)


def images_of(data: Any) -> NDArray[Any]:
    return np.concatenate([images.numpy() for images, _ in data])


def test_batches_keep_order_size_and_range(samples: Samples) -> None:
    data = pipeline.batches(samples, 20, 16)
    images = images_of(data)
    assert images.shape == (len(samples), 20, 20, 3)
    assert (images.min(), images.max()) == (0, 255)
    assert np.array_equal(np.concatenate([labels.numpy() for _, labels in data]), samples.labels)


def test_files_give_the_same_batches_as_their_bytes(samples: Samples, tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{index}.png" for index in range(len(samples)))
    for index, path in enumerate(paths):
        path.write_bytes(samples.content(index))
    on_disk = pipeline.batches(Samples(paths, samples.labels), 20, 16)
    assert np.array_equal(images_of(on_disk), images_of(pipeline.batches(samples, 20, 16)))


@pytest.mark.parametrize("cache_bytes", [1 << 30, 0])
def test_training_sees_every_image_once_an_epoch_in_an_order_that_the_seed_decides(
    samples: Samples, cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_CACHE_BYTES", cache_bytes)

    def epochs(seed: int) -> list[list[int]]:
        data = pipeline.training_batches(samples, 20, 16, seed)
        return [[int(label) for _, labels in data for label in labels] for _ in range(2)]

    first, again, other = epochs(1), epochs(1), epochs(2)
    assert first == again
    assert first != other
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(samples.labels.tolist())


def test_moved_images_are_other_images_of_the_same_range_and_shape() -> None:
    images = np.zeros((64, 20, 20, 3), np.float32)
    images[:, 8:12, 8:12] = 255
    moved = pipeline.moved(images, np.array([1, 2])).numpy()
    assert moved.shape == images.shape
    assert moved.min() >= 0
    assert moved.max() <= 255.001
    assert len({image.tobytes() for image in moved}) == 64
    rows = (moved[..., 0].sum(axis=2) * np.arange(20)).sum(axis=1) / moved[..., 0].sum(axis=(1, 2))
    assert 0.5 < np.ptp(rows) < 6


def test_a_uniform_image_stays_uniform_however_it_is_moved() -> None:
    images = np.full((32, 20, 20, 3), 200, np.float32)
    assert np.allclose(pipeline.moved(images, np.array([3, 4])).numpy(), 200, atol=0.01)
