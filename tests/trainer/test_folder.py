from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from bundle import environment, manifest
from bundle.errors import UsageError
from bundle.settings import Settings
from tests.trainer.conftest import bundle_root, trainer
from trainer import datasets, examples, pipeline, pixels
from trainer.datasets import folder, picture
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
    assert len(warnings) == len(broken) + 1
    for path in broken:
        assert sum(line.startswith(f"warning: {path} is left out: ") for line in warnings) == 1
    assert warnings[-1] == f"warning: 3 of 99 files below {data} are left out"


def test_hidden_files_are_not_looked_at(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = (".DS_Store", "._0.png", "Thumbs.db", "Desktop.ini", "thumbs.db")
    for name in [*(f"train/{name}" for name in names), *(f"test/cross/{name}" for name in names)]:
        (data / name).write_text("x")
    for name in ("train/__MACOSX", "train/bar/__MACOSX", "test/.ipynb_checkpoints", "test/bar/.ipynb_checkpoints"):
        (data / name).mkdir()
    assert len(datasets.load(settings_for(data)).train) == 72
    assert capsys.readouterr().err == ""


def test_suffixes_may_be_in_capitals(data: Path) -> None:
    (data / "train/bar/0.png").rename(data / "train/bar/0.PNG")
    assert len(datasets.load(settings_for(data)).train) == 72


def _odd(folder: Path) -> Path:
    """A path whose name is in Latin-1."""
    return Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))


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
        (_all_corrupt, r"test/bar holds no image: none of its 8 files can be used"),
        (lambda data: (data / "train").rename(data / "Train"), r"There is Train: rename it to train"),
        (lambda data: (data / "test").rename(data / "val"), r"There is val: rename it to test"),
        (lambda data: _odd(data / "train").mkdir(), r"is no name for a class: its bytes are no"),
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


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RED = Image.new("RGB", (40, 30), (200, 30, 30))
GREY = Image.linear_gradient("L").resize((40, 30))
COLOURS_STAY = {
    "png of 16 bits": _saved(Image.new("I;16", (40, 30), 200 * 257), "PNG"),
    "png with a palette": _saved(RED.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "png of 1 bit": _saved(Image.new("1", (40, 30), 1), "PNG"),
    "grey png with alpha": _saved(Image.new("LA", (40, 30), (90, 128)), "PNG"),
    "gif of two frames": _saved(RED, "GIF", save_all=True, append_images=[GREY.convert("RGB")]),
    "jpeg in cmyk": _saved(RED.convert("CMYK"), "JPEG", quality=95),
    "grey bitmap": _saved(GREY, "BMP"),
    "bitmap": _saved(RED, "BMP"),
    "bitmap with alpha": _saved(RED.convert("RGBA"), "BMP"),
}
LEFT_OUT = {
    "bitmap with a palette": _saved(RED.convert("P"), "BMP"),
    "bitmap of 1 bit": _saved(Image.new("1", (40, 30), 1), "BMP"),
    "bitmap that is cut off": _saved(RED, "BMP")[:20],
    "bitmap that is cut off in its header": _saved(GREY, "BMP")[:40],
    "bitmap that is compressed": (lambda whole: whole[:30] + bytes([1]) + whole[31:])(_saved(GREY, "BMP")),
    "bitmap of OS/2": (lambda whole: whole[:14] + bytes([12]) + whole[15:])(_saved(RED, "BMP")),
}


def _expected(content: bytes) -> tuple[float, ...]:
    image = Image.open(io.BytesIO(content))
    if image.mode == "I;16":
        return (200.0, 200.0, 200.0)
    pixels = np.asarray(image.convert("RGB"), np.float32)
    return tuple(float(x) for x in pixels.mean((0, 1)))


@pytest.mark.parametrize("name", COLOURS_STAY)
def test_what_is_trained_on_is_what_people_see(name: str, tmp_path: Path) -> None:
    content = COLOURS_STAY[name]
    (tmp_path / "0.png").write_bytes(content)
    assert folder._problem(tmp_path / "0.png") is None
    found = pixels.decode(content, 28).numpy().mean((0, 1))
    np.testing.assert_allclose(found, _expected(content), atol=4)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_serving_would_see_otherwise_is_left_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "0.bmp").write_bytes(LEFT_OUT[name])
    problem = folder._problem(tmp_path / "0.bmp")
    assert problem is not None
    assert "bitmap" in problem or "cut off" in name


def test_a_palette_that_claims_more_colours_than_there_are_is_read(tmp_path: Path) -> None:
    whole = _saved(GREY, "BMP")
    (tmp_path / "0.bmp").write_bytes(whole[:46] + (5000).to_bytes(4, "little") + whole[50:])
    folder._problem(tmp_path / "0.bmp")  # Whatever the decoder makes of it; it is no error of ours.


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40])
def test_damaged_exif_is_none(exif: bytes) -> None:
    assert picture.orientation(_saved(RED, "JPEG", exif=exif)) == picture.UPRIGHT


@pytest.mark.parametrize("turn", range(1, 9))
def test_photographs_are_trained_on_as_they_are_to_be_held(turn: int, data: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    photo = Image.new("RGB", (60, 40), "black")
    ImageDraw.Draw(photo).rectangle((0, 0, 20, 10), fill="white")
    photo.save(data / "test/bar/0.jpg", quality=95, exif=exif)
    found = datasets.load(settings_for(data))
    index = found.test.sources.index(data / "test/bar/0.jpg")
    assert found.test.orientation(index) == turn
    upright = ImageOps.exif_transpose(photo_of(data))
    expected = pixels.decode(_saved(upright, "PNG"), 28).numpy()
    (batch, _) = next(iter(pipeline.batches(found.test.take([index]), 28, 1)))
    assert np.abs(batch.numpy()[0] - expected).mean() < 4
    (stored,) = examples.as_png(found.test.take([index]), 28).sources
    assert isinstance(stored, bytes)
    assert Image.open(io.BytesIO(stored)).size == upright.size


def photo_of(data: Path) -> Image.Image:
    return Image.open(data / "test/bar/0.jpg")


def test_names_are_bytes(data: Path) -> None:
    shutil.copyfile(data / "train/bar/0.png", _odd(data / "train" / "bar").with_suffix(".png"))
    found = datasets.load(settings_for(data))
    assert len(found.train) == 73
    assert sum(len(labels) for _, labels in pipeline.batches(found.train, 28, 16)) == 73


def test_all_that_is_left_out_is_named_with_its_reason(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "train/bar/notes.txt").write_text("x")
    (data / "train/bar/photo.webp").write_text("x")
    (data / "train/bar/more").mkdir()
    os.mkfifo(data / "test/bar/pipe.png")
    (data / "test/bar/lost.png").symlink_to("nowhere")
    assert len(datasets.load(settings_for(data)).train) == 72
    said = capsys.readouterr().err
    assert "train/bar/notes.txt is left out: it is no image: expected a file that ends in .png" in said
    assert "train/bar/photo.webp is left out: it is no image" in said
    assert "train/bar/more is left out: it is a folder" in said
    assert "test/bar/pipe.png is left out: it is no image" in said
    assert "test/bar/lost.png is left out: it is no image" in said
    assert f"warning: 5 of 101 files below {data} are left out" in said


def test_test_images_that_are_training_images_are_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(data / "train/bar/1.jpg", data / "test/bar/1.jpg")
    datasets.load(settings_for(data))
    said = capsys.readouterr().err
    assert f"warning: 1 of 24 test images are training images, too: {data / 'test/bar/1.jpg'}; the test" in said


def test_pictures_that_the_server_does_not_take_are_named(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_PIXELS", 89 * 89)
    Image.new("RGB", (90, 90)).save(data / "train/bar/0.png")
    datasets.load(settings_for(data))
    said = capsys.readouterr().err
    assert said.count("million pixels; the embedded engine takes") == 1
    assert f"{data / 'train/bar/0.png'} has" in said
