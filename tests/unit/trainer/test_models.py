from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from bundle.errors import UsageError
from trainer import models


def test_both_model_types_are_found() -> None:
    assert {"LenetModel", "ResnetModel"} <= set(models.model_types())


def test_a_subclass_is_a_model_type_without_any_list_to_edit() -> None:
    class Tiny(models.ImageClassifierModel):
        image_size = 8
        epochs = 1

        def layers(self, images: Any, weights: str) -> Any:
            return images

    assert isinstance(models.get("Tiny"), Tiny)


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"MODEL_TYPE=Nope.*LenetModel.*ResnetModel"):
        models.get("Nope")


def test_listing_model_types_loads_no_tensorflow() -> None:
    code = "import sys; from trainer import models; models.model_types(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "image_size", "weights", "says"),
    [
        ("LenetModel", 28, "imagenet", r"WEIGHTS=imagenet.*set WEIGHTS=none"),
        ("LenetModel", 15, "none", r"IMAGE_SIZE=15.*at least 16"),
        ("ResnetModel", 31, "none", r"IMAGE_SIZE=31.*at least 32"),
        ("ResnetModel", 32, "nowhere.weights.h5", r"no such file"),
    ],
)
def test_what_a_type_cannot_do_is_refused(name: str, image_size: int, weights: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        models.get(name).check(image_size, weights)
