"""A version taken out of its base path, on one file system and across two."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import publish
from bundle.errors import UsageError
from bundle.versions import version_folders
from tests.unit.bundle.parts import digest, make_version, publish_copy


@pytest.fixture
def base(tmp_path: Path) -> Path:
    make_version(tmp_path / "base" / "1", b"one")
    make_version(tmp_path / "base" / "2", b"two")
    return tmp_path / "base"


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """A folder to which rename(2) does not reach, as between two volumes of a container."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm as a second file system")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def test_it_moves_with_its_reason_beside_it(base: Path, tmp_path: Path) -> None:
    before = digest(base / "2")
    place = publish.withdraw(base, 2, tmp_path / "quarantine" / "M", "answers nonsense\n\n")
    assert place == tmp_path / "quarantine" / "M" / "2"
    assert digest(place) == before
    assert place.with_name("2.reason.txt").read_text() == "answers nonsense\n"
    assert list(version_folders(base)) == [1]


def test_a_second_one_of_a_number_gets_a_name_of_its_own(base: Path, tmp_path: Path) -> None:
    publish.withdraw(base, 2, tmp_path / "q", "first")
    make_version(base / "2", b"by hand")
    assert publish.withdraw(base, 2, tmp_path / "q", "second") == tmp_path / "q" / "2-2"
    assert (tmp_path / "q" / "2.reason.txt").read_text() == "first\n"
    assert (tmp_path / "q" / "2-2.reason.txt").read_text() == "second\n"


def test_a_number_with_leading_zeros_is_found(base: Path, tmp_path: Path) -> None:
    make_version(base / "007")
    assert publish.withdraw(base, 7, tmp_path / "q", "why not") == tmp_path / "q" / "7"
    assert not (base / "007").exists()


def test_what_is_not_there_is_refused_with_what_is(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no version 3; it holds 1, 2"):
        publish.withdraw(base, 3, tmp_path / "q", "why not")
    assert not list((tmp_path / "q").iterdir())


def test_it_reaches_another_file_system(base: Path, other_file_system: Path) -> None:
    before = digest(base / "2")
    place = publish.withdraw(base, 2, other_file_system / "M", "moved far")
    assert digest(place) == before
    assert sorted(path.name for path in base.iterdir()) == [publish.LOCK_NAME, "1"]


def test_a_file_and_a_dangling_link_reach_another_file_system(tmp_path: Path, other_file_system: Path) -> None:
    (tmp_path / "note.txt").write_text("not a model")
    publish.move(tmp_path / "note.txt", other_file_system / "note.txt")
    assert (other_file_system / "note.txt").read_text() == "not a model"
    folder = make_version(tmp_path / "candidate")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    publish.move(folder, other_file_system / "candidate")
    publish.move(tmp_path / "pipe", other_file_system / "pipe")  # Holds nothing; gone is what counts.
    assert (other_file_system / "candidate" / "dangling").is_symlink()
    assert not list(tmp_path.iterdir())


def test_a_move_that_fails_brings_the_old_name_back(base: Path, other_file_system: Path) -> None:
    (other_file_system / "2").touch()  # In the way of the copy.
    with pytest.raises(OSError, match="Not a directory"):
        publish.move(base / "2", other_file_system / "2")
    assert (base / "2" / "saved_model.pb").is_file()
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
    assert [path.name for path in other_file_system.iterdir()] == ["2"]


def test_a_withdrawal_that_was_cut_short_is_finished_by_the_next_publish(base: Path, tmp_path: Path) -> None:
    """kill -9 on the way to another file system: hidden, its reason written, the copy under way."""
    quarantine = tmp_path / "q"
    expected = digest(base / "2")
    (base / "2").rename(base / f"{publish.HIDDEN_PREFIX}2")
    make_version(quarantine / "2", b"an earlier one")
    make_version(quarantine / ".arriving-2-2", b"half")
    for name in ("2", "2-2"):
        (quarantine / f"{name}.reason.txt").write_text("why not\n")
    publish_copy(base / "1", base, quarantine)
    assert digest(quarantine / "2-2") == expected
    assert list(version_folders(base)) == [1, 3]
    assert not list(base.glob(f"{publish.HIDDEN_PREFIX}*"))
    assert not list(quarantine.glob(".arriving-*"))


def test_a_withdrawal_that_had_arrived_loses_its_old_copy(base: Path, tmp_path: Path) -> None:
    quarantine = tmp_path / "q"
    publish.withdraw(base, 2, quarantine, "why not")
    make_version(base / f"{publish.HIDDEN_PREFIX}2", b"two")
    publish_copy(base / "1", base, quarantine)
    assert not list(base.glob(f"{publish.HIDDEN_PREFIX}*"))
    assert sorted(path.name for path in quarantine.iterdir()) == ["2", "2.reason.txt"]


def test_a_copy_that_is_still_staged_by_somebody_is_not_swept(base: Path, tmp_path: Path) -> None:
    quarantine = tmp_path / "q"
    with publish.staged(base / "1", base, quarantine) as mine:
        publish_copy(base / "2", base, quarantine)
        assert publish.go_live(mine, base, quarantine).number == 4
    assert list(version_folders(base)) == [1, 2, 3, 4]
