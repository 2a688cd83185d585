"""Which folders are versions, and when their content counts as changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving.errors import Code, ServingError
from serving.policy import All, Latest, Specific
from serving.storage import fingerprint, scan


def make(base: Path, *names: str) -> Path:
    base.mkdir(exist_ok=True)
    for name in names:
        (base / name).mkdir()
    return base


def test_names_that_parse_as_integers_are_versions(tmp_path: Path) -> None:
    names = ["-5", "+7", " 8", "9 ", "00000123", "1e3", "3.0", "0x10", "abc", "1_000", "3.tmp", "٣"]
    names += ["99999999999999999999", "9223372036854775807", "v1", ".5"]
    base = make(tmp_path / "m", *names)
    found = scan("m", base, All())
    assert sorted(found.versions) == [-5, 7, 8, 9, 123, 2**63 - 1]
    assert found.versions[123] == base / "00000123"


def test_files_and_links_count_too(tmp_path: Path) -> None:
    base = make(tmp_path / "m")
    (base / "50").touch()
    (base / "51").symlink_to(tmp_path)
    assert sorted(scan("m", base, All()).versions) == [50, 51]


def test_of_several_names_for_a_number_the_last_counts(tmp_path: Path) -> None:
    base = make(tmp_path / "m", "+7", "007", "0", "000")
    found = scan("m", base, All())
    assert {path.name for path in found.versions.values()} == {"007", "000"}
    duplicates = "Duplicate version directories detected. Version"
    assert found.remarks == (
        f"{duplicates} 0 will be loaded from 000, 0 will be ignored.",
        f"{duplicates} 7 will be loaded from 007, +7 will be ignored.",
    )


def test_an_empty_base_path_is_remarked(tmp_path: Path) -> None:
    base = make(tmp_path / "m", "not_a_number")
    found = scan("m", base, Latest(1))
    assert not found.versions
    assert found.remarks == (
        f"No versions of servable m found under base path {base}. Did you forget to name your leaf directory"
        " as a number (eg. '/1/')?",
    )


def test_specific_versions_that_are_missing_are_remarked(tmp_path: Path) -> None:
    base = make(tmp_path / "m", "1", "02")
    (remark,) = scan("m", base, Specific(frozenset({2, 77}))).remarks
    assert remark.startswith("Version 77 of servable m, which was requested to be served")
    assert scan("m", base, Specific(frozenset())).remarks == ("No specific versions requested for servable m.",)


def test_a_missing_base_path_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ServingError) as caught:
        scan("m", missing, Latest(1))
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.message == (
        f"Could not find base path {missing} for servable m with error NOT_FOUND: {missing} not found"
    )
    (tmp_path / "file").touch()
    with pytest.raises(ServingError, match="Not a directory"):
        scan("m", tmp_path / "file", Latest(1))


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    folder = make(tmp_path / "1", "variables")
    prints = [fingerprint(folder)]

    def changed() -> bool:
        prints.append(fingerprint(folder))
        return prints[-1] not in prints[:-1]

    assert not changed()
    (folder / "saved_model.pb").write_bytes(b"one")
    assert changed()
    (folder / "saved_model.pb").write_bytes(b"three")
    assert changed()
    os.utime(folder / "saved_model.pb", (1, 1))
    assert changed()
    (folder / "variables" / "variables.index").touch()
    assert changed()
    (folder / "variables" / "variables.index").chmod(0o600)
    assert changed()
    (folder / "saved_model.pb").unlink()
    assert changed()
    assert not changed()


def test_the_fingerprint_of_what_is_not_there(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "missing") != fingerprint(tmp_path)
    file = tmp_path / "5"
    file.touch()
    assert fingerprint(file) == fingerprint(tmp_path / "missing")
