"""Which SavedModel a dropped folder holds, whether it is whole, and whether somebody still writes to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle import manifest
from rollout.candidate import Wholeness, examine, fingerprint, locate
from tests.unit.bundle.parts import make_version
from tests.unit.bundle.test_manifest import SAMPLE

DATA = "variables.data-{:05d}-of-{:05d}"


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    return make_version(tmp_path / "entry")


def test_a_saved_model_without_a_manifest_is_plausible(entry: Path) -> None:
    assert examine(entry).wholeness is Wholeness.PLAUSIBLE
    assert locate(entry) == entry


def test_one_whose_files_are_all_listed_is_proven_and_damage_shows(entry: Path) -> None:
    manifest.write(entry, SAMPLE)
    assert examine(entry).wholeness is Wholeness.PROVEN
    (entry / "assets" / "deep" / "0.bin").write_bytes(b"half")
    finding = examine(entry)
    assert finding.wholeness is Wholeness.INCOMPLETE
    assert "assets/deep/0.bin has 4 bytes, expected 100" in finding.problem


def test_a_frozen_model_needs_no_variables(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    assert examine(tmp_path).wholeness is Wholeness.PLAUSIBLE
    (tmp_path / "variables").mkdir()
    assert examine(tmp_path).wholeness is Wholeness.PLAUSIBLE


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([DATA.format(0, 1)], "variables/variables.index is missing"),
        (["variables.index"], "variables/ holds 0 of 1 data files"),
        (["variables.index", DATA.format(0, 3), DATA.format(2, 3)], "variables/ holds 2 of 3 data files"),
    ],
)
def test_missing_variable_files_are_counted(tmp_path: Path, names: list[str], problem: str) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "variables").mkdir()
    for name in names:
        (tmp_path / "variables" / name).touch()
    finding = examine(tmp_path)
    assert finding.wholeness is Wholeness.INCOMPLETE
    assert finding.problem == problem


def test_a_nested_version_folder_is_found_and_two_are_refused(tmp_path: Path) -> None:
    inner = make_version(tmp_path / "entry" / "export" / "1")
    assert locate(tmp_path / "entry") == inner
    assert examine(tmp_path / "entry").wholeness is Wholeness.PLAUSIBLE
    make_version(tmp_path / "entry" / "export" / "2")
    assert locate(tmp_path / "entry") is None
    assert examine(tmp_path / "entry").problem == "it holds 2 SavedModels; drop one version at a time"


def test_what_is_no_saved_model_is_incomplete_with_the_reason(tmp_path: Path) -> None:
    file, empty, other, hollow = (tmp_path / name for name in ("note.txt", "empty", "other", "hollow"))
    file.write_text("hello")
    for folder in (empty, other, hollow):
        folder.mkdir()
    (other / "readme.md").touch()
    (hollow / "saved_model.pb").touch()
    findings = [examine(path) for path in (file, empty, other, hollow)]
    assert {finding.wholeness for finding in findings} == {Wholeness.INCOMPLETE}
    assert [finding.problem.split(";")[0] for finding in findings] == [
        "it is a file",
        "the folder is empty",
        "it holds no saved_model.pb",
        "saved_model.pb is empty",
    ]


def test_a_copy_under_way_is_never_proven_before_its_last_file(tmp_path: Path, entry: Path) -> None:
    manifest.write(entry, SAMPLE)
    paths = [path for path in entry.rglob("*") if path.is_file()]
    target = tmp_path / "target"
    for path in paths:
        assert examine(target).wholeness is not Wholeness.PROVEN if target.exists() else True
        copied = target / path.relative_to(entry)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    assert examine(target).wholeness is Wholeness.PROVEN


def test_a_linked_folder_counts_as_the_folder(tmp_path: Path, entry: Path) -> None:
    manifest.write(entry, SAMPLE)
    link = tmp_path / "link"
    link.symlink_to(entry)
    assert locate(link) == link
    assert examine(link).wholeness is Wholeness.PROVEN


def test_every_change_shows_in_the_fingerprint(entry: Path) -> None:
    seen = {fingerprint(entry)}
    assert fingerprint(entry) in seen
    graph = entry / "saved_model.pb"
    for change in (
        lambda: graph.write_bytes(b"graph and more"),
        lambda: os.utime(graph, ns=(1, 1)),
        lambda: (entry / "new").touch(),
        lambda: (entry / "new").rename(entry / "renamed"),
        lambda: (entry / "renamed").unlink(),
    ):
        change()
        assert fingerprint(entry) not in seen
        seen.add(fingerprint(entry))


def test_dangling_links_and_vanished_entries_have_a_fingerprint_too(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    assert fingerprint(tmp_path)
    assert fingerprint(tmp_path / "gone") == frozenset()
