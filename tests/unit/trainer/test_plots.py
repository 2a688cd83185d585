from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from trainer import plots

_ROW = {"accuracy": 0.5, "loss": 1.0, "val_accuracy": 0.25, "val_loss": 2.0}


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return int(image.size[0])


def test_the_history_is_a_table_with_epochs_from_one_and_a_picture(tmp_path: Path) -> None:
    plots.write_history(tmp_path, [_ROW, {**_ROW, "loss": 0.5}])
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["loss"]) for row in rows] == [("1", "1.0"), ("2", "0.5")]
    assert width(tmp_path / "history.png") > 500


@pytest.mark.parametrize("classes", [2, 40])
def test_the_confusion_matrix_is_a_picture_for_any_number_of_classes(tmp_path: Path, classes: int) -> None:
    matrix = [[int(true == predicted) for predicted in range(classes)] for true in range(classes)]
    plots.write_confusion(tmp_path, matrix, [str(index) for index in range(classes)])
    assert width(tmp_path / "confusion_matrix.png") > 300


def test_class_names_without_a_glyph_in_the_font_do_no_harm(tmp_path: Path) -> None:
    plots.write_confusion(tmp_path, [[1, 0], [0, 1]], ["\u732b", "$x$_{"])
    assert (tmp_path / "confusion_matrix.png").exists()


def test_the_settings_can_be_read_back(tmp_path: Path) -> None:
    plots.write_settings(tmp_path, {"seed": 42})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"seed": 42}
