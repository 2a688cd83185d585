"""Which names are versions, and which number comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.versions import HIGH_WATER, highest_ever, parse_version, quarantined_versions, version_folders


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("00000123", 123),
        ("+7", 7),
        ("-5", -5),
        (" 8", 8),
        ("9 ", 9),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("20240131235959", 20240131235959),
    ],
)
def test_names_that_the_server_takes_for_versions(name: str, number: int) -> None:
    assert parse_version(name) == number


@pytest.mark.parametrize(
    "name",
    ["", " ", "v1", "1.0", "1e3", "0x10", "1.tmp", "1_000", "--1", "+ 1", "1 2", "\u0663", "\uff19", "\u00a01"]  # noqa: RUF005
    + ["9223372036854775808", "-9223372036854775809", ".staging-1", "latest"],
)
def test_names_that_the_server_does_not_look_at(name: str) -> None:
    assert parse_version(name) is None


def test_folders_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "1", ".staging-x", "notes", "-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "50").touch()  # The server counts a file as well, and then fails to load it.
    (tmp_path / "51").symlink_to(tmp_path / "1")
    assert list(version_folders(tmp_path).items()) == [(n, tmp_path / str(n)) for n in (-3, 1, 9, 10, 50, 51)]


def test_of_several_names_for_a_number_the_last_wins(tmp_path: Path) -> None:
    for name in ("+7", "007", "7"):
        (tmp_path / name).mkdir()
    assert version_folders(tmp_path) == {7: tmp_path / "7"}


def test_a_base_path_that_is_not_there_has_no_versions(tmp_path: Path) -> None:
    assert version_folders(tmp_path / "missing") == {}
    assert highest_ever(tmp_path / "missing", tmp_path / "missing") == 0


def test_quarantined_numbers_count_and_refused_drops_do_not(tmp_path: Path) -> None:
    for name in ("3", "4-2", "12-2", "drop-99", "mymodel", "v7"):
        (tmp_path / name).mkdir()
    (tmp_path / "3.reason.txt").touch()
    (tmp_path / "77.reason.txt").touch()
    assert quarantined_versions(tmp_path) == {3, 4, 12}


def test_the_highest_number_ever_comes_from_all_three_places(tmp_path: Path) -> None:
    base, quarantine = tmp_path / "base", tmp_path / "quarantine"
    (base / "2").mkdir(parents=True)
    (quarantine / "5-2").mkdir(parents=True)
    assert highest_ever(base, quarantine) == 5
    (base / HIGH_WATER).write_text("8\n")
    assert highest_ever(base, quarantine) == 8
    (base / "11").mkdir()
    assert highest_ever(base, quarantine) == 11


@pytest.mark.parametrize("content", [b"", b"rubbish\n", b"\xff\xfe"])
def test_a_damaged_record_is_no_reason_to_fail(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "4").mkdir()
    (tmp_path / HIGH_WATER).write_bytes(content)
    assert highest_ever(tmp_path, tmp_path / "none") == 4
