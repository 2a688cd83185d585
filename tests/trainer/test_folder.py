from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bundle import environment, manifest
from bundle.errors import UsageError
from bundle.settings import Settings
from tests.trainer.conftest import bundle_root, trainer
from trainer import datasets
from trainer.verify import LoadedVersion

CLASSES = ("bar", "circle", "cross")


def shape(name: str, random: random.Random) -> Image.Image:
    width, height = random.randrange(21, 90), random.randrange(21, 90)
    image = Image.new("RGB", (width, height), "black")
    draw, side = ImageDraw.Draw(image), min(width, height) // 2
    left, top = random.randrange(width // 4), random.randrange(height // 4)
    if name == "circle":
        draw.ellipse((left, top, left + side, top + side), fill="white")
    elif name == "bar":
        draw.rectangle((left, top, left + side, top + side // 4), fill="yellow")
    else:
        draw.line((left, top, left + side, top + side), fill="white", width=3)
        draw.line((left, top + side, left + side, top), fill="white", width=3)
    return image


def make(folder: Path) -> Path:
    """Three classes of odd sizes in all formats, a grey and an RGBA file among them."""
    rng = random.Random(0)
    for part, count in (("train", 24), ("test", 8)):
        for name in CLASSES:
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                kind = ("png", "jpg", "bmp", "gif")[index % 4]
                mode = {0: "RGBA", 4: "L"}.get(index, "RGB")
                shape(name, rng).convert(mode).save(folder / part / name / f"{index}.{kind}")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make(tmp_path / "data")


def settings_for(data: Path) -> Settings:
    return environment.load(data.parent, {"DATASET": "folder", "DATA_DIR": str(data)})


def corrupt(data: Path) -> list[Path]:
    """A truncated, an empty and a text file, all with the names of images."""
    cut, empty, text = (data / "train" / name for name in ("circle/cut.png", "bar/empty.gif", "cross/text.jpeg"))
    cut.write_bytes((data / "train/circle/0.png").read_bytes()[:60])
    empty.touch()
    text.write_text("hello")
    return [cut, empty, text]


def test_classes_and_labels_follow_the_folders_in_name_order(data: Path) -> None:
    found = datasets.load(settings_for(data))
    assert found.classes == CLASSES
    assert np.bincount(found.train.labels).tolist() == [24, 24, 24]
    assert np.bincount(found.test.labels).tolist() == [8, 8, 8]
    for source, label in zip(found.train.sources, found.train.labels, strict=True):
        assert isinstance(source, Path)
        assert source.parent.name == CLASSES[label]


def test_files_that_do_not_decode_are_named_and_left_out(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = corrupt(data)
    found = datasets.load(settings_for(data))
    warnings = capsys.readouterr().err.splitlines()
    assert len(found.train) == 72
    assert len(warnings) == len(broken)
    for path in broken:
        assert sum(line.startswith(f"warning: {path} does not decode") for line in warnings) == 1


def test_hidden_files_are_not_looked_at(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train/.DS_Store", "train/bar/.DS_Store", "test/cross/Thumbs.db"):
        (data / name).write_text("x")
    assert len(datasets.load(settings_for(data)).train) == 72
    assert capsys.readouterr().err == ""


def test_suffixes_may_be_in_capitals(data: Path) -> None:
    (data / "train/bar/0.png").rename(data / "train/bar/0.PNG")
    assert len(datasets.load(settings_for(data)).train) == 72


def _remove(path: str) -> Callable[[Path], None]:
    return lambda data: shutil.rmtree(data / path)


def _write(path: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        (data / path).write_text("x")

    return change


def _empty(path: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        shutil.rmtree(data / path)
        (data / path).mkdir()

    return change


def _only_one_class(data: Path) -> None:
    for part in ("train", "test"):
        for name in ("bar", "circle"):
            shutil.rmtree(data / part / name)


def _all_corrupt(data: Path) -> None:
    for path in (data / "test/bar").iterdir():
        path.write_text("x")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_remove("."), r"data is not a folder; expected train/<class>/"),
        (_remove("train"), r"data/train is not a folder"),
        (_remove("test"), r"data/test is not a folder"),
        (_empty("train"), r"found no class in train/, expected two or more"),
        (_only_one_class, r"found only the class cross in train/, expected two or more"),
        (_remove("test/bar"), r"bar is missing in test/"),
        (_remove("train/cross"), r"cross is missing in train/"),
        (_empty("train/circle"), r"train/circle holds no image: it is empty"),
        (_all_corrupt, r"test/bar holds no image: none of its 8 files decodes"),
        (_write("train/bar/notes.txt"), r"notes\.txt is no image: expected files that end in \.png"),
        (_write("train/bar/photo.webp"), r"photo\.webp is no image"),
        (lambda data: (data / "train/bar/more").mkdir(), r"train/bar/more is no image"),
        (_write("train/readme.txt"), r"readme\.txt is a file; expected train/<class>/"),
    ],
)
def test_a_layout_that_cannot_be_right_is_refused(data: Path, change: Callable[[Path], None], says: str) -> None:
    change(data)
    with pytest.raises(UsageError, match=says):
        datasets.load(settings_for(data))


def test_a_refused_dataset_ends_the_command_with_status_2_and_publishes_nothing(tmp_path: Path) -> None:
    root = bundle_root(tmp_path)
    flags = ("--model-type", "LenetModel", "--model-name", "Shapes", "--dataset", "folder")
    status, _, err = trainer(root, "train", *flags)
    assert status == 2
    assert err.startswith(f"error: {root / 'data'} is not a folder")
    assert not (root / "models").exists()
    assert not (root / "runs").exists()


def test_a_folder_trains_to_a_version_with_its_class_names(data: Path) -> None:
    broken = corrupt(data)
    root = bundle_root(data.parent)
    flags = ("--model-type", "LenetModel", "--model-name", "Shapes", "--dataset", "folder", "--epochs", "12")
    status, _, err = trainer(root, "train", *flags)
    assert status == 0, err
    assert all(str(path) in err for path in broken)
    version = root / "models" / "Shapes" / "1"
    found = manifest.read(version)
    assert found is not None
    assert found.classes == CLASSES
    assert len(found.examples) == 24
    contents = [(data / "test" / name / "1.jpg").read_bytes() for name in CLASSES]
    answer = LoadedVersion(version).run("serving_labels", {"image_bytes_string": contents})
    assert {label.decode() for label in answer["label"]} <= set(CLASSES)
    assert found.test_accuracy > 0.5
