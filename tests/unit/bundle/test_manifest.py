"""The manifest survives its round trip, finds damage, and is refused when it is something else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bundle import manifest
from bundle.errors import BundleError
from bundle.manifest import Dataset, Example, Manifest
from tests.unit.bundle.parts import make_version

SAMPLE = Manifest(
    tensorflow_version="2.19.1",
    model_type="LenetModel",
    classes=("zero", "\u00e9ins"),
    image_size=28,
    dataset=Dataset("digits", "abc", 10, 2, 3),
    settings={"epochs": 3, "weights": "none"},
    test_accuracy=0.975,
    confusion_matrix=((2, 0), (1, 0)),
    created="2025-01-31T12:00:00+00:00",
    examples=(Example("held_out/0.png", 1, (0.1 + 0.2, -1e-30)),),
)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = make_version(tmp_path / "v")
    manifest.write(folder, SAMPLE)
    return folder


def change(version: Path, **fields: Any) -> None:
    path = manifest.manifest_path(version)
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_written_is_read(version: Path) -> None:
    read = manifest.read(version)
    assert read is not None
    assert dataclasses.replace(read, files={}) == SAMPLE
    assert manifest.manifest_path(version) == version / "assets.extra" / "bundle.json"


def test_a_manifest_of_before_a_field_was_added_is_read(version: Path) -> None:
    path = manifest.manifest_path(version)
    document = json.loads(path.read_text())
    del document["row_wise"]
    path.write_text(json.dumps(document))
    read = manifest.read(version)
    assert read is not None
    assert read.row_wise == ()


def test_every_file_but_the_manifest_is_listed(version: Path) -> None:
    read = manifest.read(version)
    assert read is not None
    names = {path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file()}
    assert set(read.files) == names - {"assets.extra/bundle.json"}
    assert manifest.damage(version, read) == []


def test_a_saved_model_made_elsewhere_has_none(tmp_path: Path) -> None:
    assert manifest.read(make_version(tmp_path / "v")) is None


def test_damage_is_named_file_by_file(version: Path) -> None:
    read = manifest.read(version)
    assert read is not None
    (version / "saved_model.pb").write_bytes(b"Graph")
    (version / "variables" / "variables.index").write_bytes(b"")
    (version / "assets" / "deep" / "0.bin").unlink()
    (version / "assets" / "extra.txt").touch()  # More than was promised is no damage.
    assert sorted(manifest.damage(version, read)) == [
        "assets/deep/0.bin is missing",
        "saved_model.pb has another checksum than its manifest says",
        "variables/variables.index has 0 bytes, expected 14",
    ]


@pytest.mark.parametrize("format_", [2, "1", None])
def test_another_format_is_refused_with_a_way_out(version: Path, format_: object) -> None:
    change(version, format=format_)
    with pytest.raises(BundleError, match=r"bundle\.json is not a manifest of format 1 .* export the version again"):
        manifest.read(version)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"text"', b"17", b"null", b"{}", b'{"format": 1}', b"\xff"])
def test_what_is_no_manifest_is_refused(version: Path, text: bytes) -> None:
    manifest.manifest_path(version).write_bytes(text)
    with pytest.raises(BundleError, match="is not a manifest"):
        manifest.read(version)


@pytest.mark.parametrize(
    "fields",
    [
        {"files": ["saved_model.pb"]},
        {"files": {"saved_model.pb": {"size": 5}}},
        {"files": {"saved_model.pb": {"size": "5", "sha256": "0"}}},
        {"files": {"../../outside": {"size": 5, "sha256": "0"}}},
        {"files": {"/etc/passwd": {"size": 5, "sha256": "0"}}},
        {"dataset": "digits"},
        {"examples": [{"image": "a.png"}]},
        {"examples": [{"image": "../../../secret.png", "label": 0, "logits": []}]},
        {"examples": [{"image": "a.png", "label": 7, "logits": [0.0, 1.0]}]},
        {"examples": [{"image": "a.png", "label": 0, "logits": ["x", "y"]}]},
        {"test_accuracy": "high"},
        {"test_accuracy": None},
        {"image_size": "28"},
        {"model_type": 3},
        {"created": 5},
        {"classes": "ab"},
        {"classes": [1, 2]},
        {"confusion_matrix": [1]},
    ],
    ids=lambda fields: json.dumps(fields)[:50],
)
def test_fields_that_would_mislead_a_reader_are_refused(version: Path, fields: dict[str, Any]) -> None:
    change(version, **fields)
    with pytest.raises(BundleError, match="is not a manifest"):
        manifest.read(version)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("test_accuracy", 10**400, "Number out of range"),
        ("test_accuracy", float("nan"), "JSON is malformed"),
        ("image_size", 10**400, "image_size"),
        ("settings", {"deep": [{"er": float("inf")}]}, "JSON is malformed"),
        ("settings", {"seed": 10**400}, "settings"),
        ("settings", {"deep": [{"er": 1}]}, "settings"),
        ("classes", ["\ud800", "b", "c"], "JSON is malformed"),
        ("settings", {"\udfff": 1}, "JSON is malformed"),
        ("examples", [{"image": "a.png", "label": 0, "logits": [1e39, 0.0, 0.0]}], "logits"),
    ],
)
def test_what_no_file_or_table_can_hold_is_refused(tmp_path: Path, name: str, value: object, said: str) -> None:
    manifest.write(tmp_path, SAMPLE)
    path = manifest.manifest_path(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(BundleError, match=said):
        manifest.read(tmp_path)


def test_a_manifest_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = manifest.manifest_path(tmp_path)
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(BundleError, match="it has more than 32 MB"):
        manifest.read(tmp_path)
