"""Which held-out set is kept, which takes its place, and what a file that is none says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bundle import files, manifest
from bundle.errors import BundleError
from rollout import yardstick
from rollout.gate import heldout, survey
from rollout.model import Model
from tests.unit.bundle.parts import make_version
from tests.unit.bundle.test_manifest import SAMPLE

CLASSES = ("a", "b")


def version(folder: Path, contents: list[bytes], classes: tuple[str, ...] = CLASSES) -> Path:
    """One with a manifest whose examples are `contents`, by turns of each class."""
    make_version(folder)
    (folder / manifest.FOLDER).mkdir()
    examples = []
    for n, content in enumerate(contents):
        (folder / manifest.FOLDER / f"{n}.png").write_bytes(content)
        label = n % len(classes)
        logits = tuple(float(label == index) for index in range(len(classes)))
        examples.append(manifest.Example(f"{n}.png", label, logits))
    manifest.write(folder, dataclasses.replace(SAMPLE, classes=classes, examples=tuple(examples)))
    return folder


def kept(model: Model, tmp_path: Path) -> list[tuple[str, str]]:
    """The contents of the kept set's images with their classes."""
    folder = tmp_path / f"unpacked-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    found = heldout.unpack(yardstick.path_of(model), folder)
    return [(each.image.read_text(), found.classes[each.label]) for each in found.examples]


def test_a_set_is_packed_and_unpacked_as_it_was(model: Model, tmp_path: Path) -> None:
    folder = version(model.base_path / "1", [b"one", b"two", b"three"])
    yardstick.keep(model, 1)
    assert kept(model, tmp_path) == [("one", "a"), ("two", "b"), ("three", "a")]
    found = heldout.read(yardstick.path_of(model), tmp_path)
    own = heldout.of_version(folder)
    assert found is not None
    assert own is not None
    assert heldout.same(found, own)
    assert [each.logits for each in found.examples] == [each.logits for each in own.examples]


@pytest.mark.parametrize(
    ("contents", "classes", "takes_over"),
    [
        ([b"5", b"6", b"7", b"8"], CLASSES, True),
        ([b"5", b"6", b"7", b"8", b"9"], CLASSES, True),
        ([b"5", b"6", b"7"], CLASSES, False),  # One image of b.
        ([b"5", b"6", b"5", b"6"], CLASSES, False),  # The same again.
        ([b"2", b"6", b"7", b"8"], CLASSES, False),  # 2 is of b.
        ([b"5", b"6"], ("a", "c"), True),  # Somebody allowed that.
        ([], CLASSES, False),
    ],
)
def test_a_new_set_takes_over_when_it_asks_no_less(
    model: Model, tmp_path: Path, contents: list[bytes], classes: tuple[str, ...], takes_over: bool
) -> None:
    version(model.base_path / "1", [b"1", b"2", b"3", b"4"])
    yardstick.keep(model, 1)
    version(model.base_path / "2", contents, classes)
    yardstick.keep(model, 2)
    expected = contents if takes_over else [b"1", b"2", b"3", b"4"]
    assert [content.encode() for content, _ in kept(model, tmp_path)] == expected


def test_what_is_too_large_to_keep_does_not_count(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that asks no less only by images that are left out asks less."""
    version(model.base_path / "1", [b"1", b"2"])
    yardstick.keep(model, 1)
    monkeypatch.setattr(heldout, "_MOST_BYTES", 10)
    version(model.base_path / "2", [b"much too large", b"5"])
    yardstick.keep(model, 2)
    assert kept(model, tmp_path) == [("1", "a"), ("2", "b")]
    version(model.base_path / "3", [b"much too large", b"6", b"7"])
    yardstick.keep(model, 3)
    assert kept(model, tmp_path) == [("6", "b"), ("7", "a")]
    version(model.base_path / "4", [b"much too large"], ("x", "y"))
    yardstick.keep(model, 4)
    assert kept(model, tmp_path) == [("6", "b"), ("7", "a")]


def test_without_a_kept_set_the_live_or_else_the_newest_one_with_a_set_is_taken(model: Model, tmp_path: Path) -> None:
    assert yardstick.find(model, None) is None
    yardstick.keep(model, 1)
    for number, contents in ((1, [b"1"]), (2, [b"2"]), (3, [])):
        version(model.base_path / str(number), contents)
    make_version(model.base_path / "4")
    folders = model.folders()
    assert yardstick.find(model, folders[1]) == folders[1]
    assert yardstick.find(model, folders[4]) == folders[2]
    assert yardstick.find(model, None, without=2) == folders[1]
    assert not yardstick.path_of(model).exists()
    yardstick.keep(model, 4)
    assert kept(model, tmp_path) == [("2", "a")]
    for folder in folders.values():
        files.remove(folder)
    assert yardstick.find(model, None) == yardstick.path_of(model)


def test_a_file_that_is_no_set_is_named_and_replaces_nothing(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version(model.base_path / "1", [b"1"])
    path = yardstick.path_of(model)
    path.parent.mkdir()
    path.write_bytes(b"no zip")
    with pytest.raises(BundleError, match=r"\.held-out\.zip is not a held-out set \(File is not a zip file\); move it"):
        heldout.read(path, tmp_path)
    yardstick.keep(model, 1)
    assert "the held-out set of version 1 could not be kept in" in capsys.readouterr().err
    assert path.read_bytes() == b"no zip"


def test_sheets_go_by_the_names_of_classes(tmp_path: Path) -> None:
    own = heldout.of_version(version(tmp_path / "own", [b"1", b"2"], ("b", "a")))
    known = heldout.of_version(version(tmp_path / "kept", [b"1", b"2", b"3"], ("a", "b", "c")))
    first, second = survey.sheets(own, known, ("b", "a"), ("a", "b", "c"))
    assert (first.whose, first.labels, first.live_labels) == (survey.OWN, (0, 1), (1, 0))
    assert (second.whose, second.labels, second.live_labels) == (survey.KEPT, (1, 0), (0, 1))
    assert second.recorded.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    (only,) = survey.sheets(known, known, ("a", "b", "c"), ("c", "b", "a"))
    assert only.whose == survey.OWN
    assert only.recorded.tolist()[0] == [0.0, 0.0, 1.0]
    assert survey.sheets(None, known, ("x",), ("x",)) == []
