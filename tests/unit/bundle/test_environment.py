"""Where a setting's value comes from, and what is said when it cannot be used."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import pytest

from bundle.environment import add_arguments, find_root, load, overrides_from, read_env_file
from bundle.errors import SettingsError
from bundle.settings import TRAINER, table
from tests.unit.bundle.parts import finish, start


def set_in_env_file(root: Path, text: str) -> None:
    with (root / ".env").open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def refusal(root: Path, **overrides: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(root, overrides)
    return str(caught.value)


def test_precedence_is_command_line_environment_env_file_default(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".env").write_text("")
    assert load(root).batch_size == 32
    set_in_env_file(root, "BATCH_SIZE=1")
    assert load(root).batch_size == 1
    monkeypatch.setenv("BATCH_SIZE", "2")
    assert load(root).batch_size == 2
    assert load(root, {"BATCH_SIZE": "3"}).batch_size == 3


def test_an_empty_environment_variable_is_no_value(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_in_env_file(root, "BATCH_SIZE=7")
    monkeypatch.setenv("BATCH_SIZE", "")
    assert load(root).batch_size == 7


def test_paths_are_absolute_and_relative_to_the_bundle(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = load(root, {"MODELS_DIR": "../elsewhere/./m", "DROP_DIR": "/abs/drop", "DATA_DIR": "~/pictures"})
    assert settings.root == root
    assert settings.models_dir == root.parent / "elsewhere" / "m"
    assert settings.drop_dir == Path("/abs/drop")
    assert settings.data_dir == Path("/home/somebody/pictures")
    assert settings.quarantine_dir == root / "quarantine"


def test_a_linked_folder_is_not_resolved_away(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (root / "models").symlink_to(tmp_path / "big")
    assert load(root).models_dir == root / "models"


def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(root: Path) -> None:
    set_in_env_file(root, "EPOCH=3\nQUITE_SOMETHING_ELSE=1")
    message = refusal(root)
    assert "EPOCH in" in message
    assert "did you mean EPOCHS?" in message
    assert "QUITE_SOMETHING_ELSE" in message
    assert "docs/settings.md lists them all" in message


def test_every_bad_value_is_named_at_once_with_its_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_in_env_file(root, "ENGINE=gpus")
    monkeypatch.setenv("REST_PORT", "70000")
    message = refusal(root, EPOCHS="many")
    assert "ENGINE=gpus (.env): expected one of auto, gpu, cpu, embedded, local" in message
    assert "REST_PORT=70000 (environment): expected a whole number from" in message
    assert "EPOCHS=many (command line): expected a whole number of at least 1, or auto" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_SIZE", "0"),
        ("BATCH_SIZE", "1.5"),
        ("SEED", "-1"),
        ("SEED", str(2**32)),
        ("LEARNING_RATE", "nan"),
        ("LEARNING_RATE", "2"),
        ("VALIDATION_SPLIT", "1"),
        ("MIXED_PRECISION", "yes"),
        ("MODEL_NAME", "../x"),
        ("MODEL_NAME", "a/b"),
        ("MODEL_NAME", ""),
        ("MODELS_DIR", " "),
        ("BIND", "localhost; rm"),
        ("SERVER_MEMORY", "4"),
        ("SERVER_MEMORY", "4 g"),
        ("GPU_COUNT", "0"),
        ("PROJECT", "Upper"),
        ("SERVING_CPU_IMAGE", "--privileged"),
        ("REST_PORT", "0"),
        ("GRPC_PORT", "0"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(root: Path, name: str, value: str) -> None:
    assert f"{name}={value} (command line): expected" in refusal(root, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("EPOCHS", "auto", None),
        ("EPOCHS", "3", 3),
        ("LEARNING_RATE", "1e-3", 0.001),
        ("MIXED_PRECISION", "TRUE", True),
        ("GPU_COUNT", "all", "all"),
        ("BIND", "::1", "::1"),
        ("SERVING_GPU_IMAGE", "registry.example:5000/a/b@sha256:0f", "registry.example:5000/a/b@sha256:0f"),
        ("DROP_QUIET_SECONDS", "0.5", 0.5),
    ],
)
def test_good_values_are_read(root: Path, name: str, value: str, read: object) -> None:
    assert getattr(load(root, {name: value}), name.lower()) == read


def test_every_default_can_be_read(root: Path) -> None:
    settings = load(root)
    for row in table():
        if not row.is_path:
            assert getattr(settings, row.name.lower()) == row.read(row.default)


def test_contradictions_are_refused(root: Path) -> None:
    assert "STOP_GRACE_SECONDS=30 must be longer than DRAIN_SECONDS=30" in refusal(root, STOP_GRACE_SECONDS="30")
    assert "REST_PORT and GRPC_PORT are both 8500" in refusal(root, REST_PORT="8500")


@pytest.mark.parametrize("line", ["EPOCHS", "=3", "EPOCHS 3", "EPOCHS='3", "<<<<<<< HEAD"])
def test_a_malformed_line_is_refused_with_its_place(root: Path, line: str) -> None:
    (root / ".env").write_text(f"# first\n{line}\n")
    assert f"{root / '.env'}:2: found " in refusal(root)


def test_a_file_that_is_no_text_is_refused(root: Path) -> None:
    (root / ".env").write_bytes(b"EPOCHS=\xff\xfe\n")
    assert str(root / ".env") in refusal(root)


def test_comments_quotes_and_exports_are_understood(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nexport EPOCHS=3 # three\nWEIGHTS='my file.h5'\nDATA_DIR=\"a # b\"\nSEED=\n")
    assert read_env_file(path) == {"EPOCHS": "3", "WEIGHTS": "my file.h5", "DATA_DIR": "a # b", "SEED": ""}


def test_the_root_is_found_from_below_and_its_absence_is_explained(root: Path, tmp_path: Path) -> None:
    below = root / "models" / "M" / "1"
    below.mkdir(parents=True)
    assert find_root(below) == root
    with pytest.raises(SettingsError, match="run the command inside the bundle"):
        find_root(tmp_path)


def test_flags_become_overrides(root: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, TRAINER)
    given = overrides_from(parser.parse_args(["--epochs", "3", "--model-type=LenetModel"]))
    assert given == {"EPOCHS": "3", "MODEL_TYPE": "LenetModel"}
    assert load(root, given).epochs == 3
    assert "--batch-size" in parser.format_help()
    assert "--rest-port" not in parser.format_help()


MAKEFILE = """\
export
all: ; @{python} -c 'from bundle.environment import load; from pathlib import Path; \
from bundle.output import run_command; \
raise SystemExit(run_command(lambda: print("read", load(Path(".")).weights, load(Path(".")).epochs) or 0))'
"""


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The settings as a command sees them that a real make starts."""
    import sys

    (root / "Makefile").write_text(MAKEFILE.format(python=sys.executable))
    process = start(["make", "--silent", *arguments], cwd=root)
    return subprocess.CompletedProcess(arguments, 0, finish(process), "")


@pytest.mark.parametrize("options", [(), ("-j2",), ("-k", "-i")])
def test_an_unknown_name_on_makes_command_line_is_refused(root: Path, options: tuple[str, ...]) -> None:
    output = make(root, *options, "EPOCH=3").stdout
    assert "EPOCH on make's command line: no such setting; did you mean EPOCHS?" in output
    assert "read" not in output


@pytest.mark.parametrize("assignment", ["EPOCH:=3", "EPOCH?=3", "EPOCH::=3", "EPOCH+=3"])
def test_makes_other_assignments_are_checked_as_well(root: Path, assignment: str) -> None:
    assert "did you mean EPOCHS?" in make(root, assignment).stdout


def test_values_on_makes_command_line_are_values_and_no_names(root: Path) -> None:
    output = make(root, "-j2", "WEIGHTS=a b UNKNOWN=c -- D=e", "ARGS=-k x FOO=1", "HOST=h", "EPOCHS=4").stdout
    assert output.strip().endswith("read a b UNKNOWN=c -- D=e 4")


def test_makes_own_variables_are_no_settings(root: Path) -> None:
    assert make(root, "TF_CPP_MIN_LOG_LEVEL=0", "PYTHON=python3.11").stdout.strip().endswith("read none None")


@pytest.mark.parametrize("value", ["$HOME/models", "${HOME}/models", '"$HOME/models"', "a$b"])
def test_a_variable_in_the_file_is_refused_as_engines_differ(root: Path, value: str) -> None:
    set_in_env_file(root, f"MODELS_DIR={value}")
    assert "MODELS_DIR holds a $, which docker compose takes for a variable" in refusal(root)


def test_a_dollar_in_single_quotes_is_one_for_everybody(root: Path) -> None:
    set_in_env_file(root, "MODELS_DIR='models$1'")
    assert load(root).models_dir == root / "models$1"
