"""`trainer evaluate`: a version, a file of Keras, and images of one's own; no server runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundle import environment
from tests.trainer.conftest import Published, trainer
from trainer import datasets

EVALUATE = ("evaluate", "--model-name", "Digits")


def accuracy(output: str) -> str:
    found = re.search(r"^accuracy ([\d.]+): \d+ of \d+ are right$", output, re.MULTILINE)
    assert found, output
    return found[1]


def by_class(output: str) -> dict[str, list[str]]:
    rows = re.findall(r"^  (\S+) +(\d+) +(\d+) +([\d.]+|-) +([\d.]+|-)$", output, re.MULTILINE)
    return {name: row for name, *row in rows}


def own_images(folder: Path, root: Path, classes: tuple[str, ...], count: int) -> Path:
    """A folder for each class with that many test digits."""
    test = datasets.load(environment.load(root, {"DATASET": "digits"})).test
    for name in classes:
        (folder / name).mkdir(parents=True)
        members = [index for index in range(len(test)) if test.labels[index] == int(name)][:count]
        for index in members:
            (folder / name / f"{index}.png").write_bytes(test.content(index))
    return folder


def test_the_newest_version_has_the_accuracy_and_confusions_of_its_manifest(published: Published) -> None:
    status, out, err = trainer(published.root, *EVALUATE)
    assert (status, err) == (0, "")
    assert accuracy(out) == f"{published.manifest.test_accuracy:.4f}"
    matrix = published.manifest.confusion_matrix
    assert {name: int(row[1]) for name, row in by_class(out).items()} == {
        str(number): matrix[number][number] for number in range(10)
    }
    for number, row in enumerate(matrix):
        assert re.search(rf"^  {number} +" + " +".join(map(str, row)) + "$", out, re.MULTILINE)


def test_the_model_that_a_run_keeps_has_the_same(published: Published) -> None:
    (run,) = (published.root / "runs").iterdir()
    status, out, err = trainer(published.root, *EVALUATE, str(run / "model.keras"))
    assert (status, err) == (0, "")
    assert accuracy(out) == f"{published.manifest.test_accuracy:.4f}"


@pytest.mark.parametrize("inside", ["", "test"])
def test_images_of_ones_own_may_be_of_some_classes_only(published: Published, tmp_path: Path, inside: str) -> None:
    own_images(tmp_path / "own" / inside, published.root, ("7", "3"), 5)
    status, out, err = trainer(published.root, *EVALUATE, "--dataset", "folder", "--data-dir", str(tmp_path / "own"))
    assert (status, err) == (0, "")
    rows = by_class(out)
    assert {name: row[0] for name, row in rows.items() if row[0] != "0"} == {"3": "5", "7": "5"}
    assert rows["0"][2] == "-"


def test_what_cannot_be_measured_is_said(published: Published, tmp_path: Path) -> None:
    own_images(tmp_path / "own", published.root, ("7",), 1)
    (tmp_path / "own" / "7").rename(tmp_path / "own" / "seven")
    (tmp_path / "no.keras").write_text("no model")
    folder = ("--dataset", "folder", "--data-dir", str(tmp_path / "own"))
    for arguments, expected, said in (
        (("--version", "9"), 2, "holds no version 9; it holds 1"),
        ((str(tmp_path),), 2, "holds no saved_model.pb"),
        ((str(tmp_path / "none.keras"),), 2, "there is no file"),
        ((str(tmp_path / "no.keras"),), 1, "does not load"),
        (folder, 2, "classes that the model does not know: seven; it knows 0, 1"),
    ):
        status, _, err = trainer(published.root, *EVALUATE, *arguments)
        assert (status, said in err, err.count("\n")) == (expected, True, 1), err
