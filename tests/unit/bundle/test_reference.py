"""The texts that are made from the settings table."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import reference
from bundle.environment import read_env_file
from bundle.settings import table
from tests.unit.bundle.parts import PROJECT, finish, python

RUN = "import sys; from bundle import output, reference; sys.exit(output.run_command(reference.main))"


def test_the_env_file_has_every_setting_with_its_comment() -> None:
    path = PROJECT / ".env"
    assert path.read_text(encoding="utf-8") == reference.env_text(read_env_file(path))


def test_the_settings_page_is_up_to_date() -> None:
    assert (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8") == reference.docs_text()


def test_the_generated_env_file_holds_the_defaults(root: Path) -> None:
    assert read_env_file(root / ".env") == {row.name: row.default for row in table()}


def test_every_setting_is_explained() -> None:
    for row in table():
        assert row.help.strip().endswith("."), row.name


@pytest.mark.parametrize("value", ["a b", "a # b", "it's", 'say "yes"', "back\\slash", " blanks ", "'quoted'", "$HOME"])
def test_own_values_survive_a_rewrite(root: Path, value: str) -> None:
    (root / ".env").write_text(reference.env_text({"WEIGHTS": value}))
    assert read_env_file(root / ".env")["WEIGHTS"] == value


def test_check_reports_drift_and_changes_nothing_and_the_fix_keeps_values(root: Path) -> None:
    (root / "docs").mkdir()
    (root / ".env").write_text("EPOCHS=9\n")
    check = python(RUN, "--check", cwd=root)
    assert "out of date" in finish(check)
    assert check.returncode == 1
    assert (root / ".env").read_text() == "EPOCHS=9\n"
    assert not (root / "docs" / "settings.md").exists()
    fix = python(RUN, cwd=root)
    assert "wrote" in finish(fix)
    assert read_env_file(root / ".env") == {row.name: row.default for row in table()} | {"EPOCHS": "9"}
    again = python(RUN, "--check", cwd=root)
    assert finish(again) == ""
    assert again.returncode == 0


def test_the_fix_does_not_drop_names_that_it_does_not_know(root: Path) -> None:
    (root / "docs").mkdir()
    (root / ".env").write_text("EPOCH=9\n")
    fix = python(RUN, cwd=root)
    assert "did you mean EPOCHS?" in finish(fix)
    assert (root / ".env").read_text() == "EPOCH=9\n"
