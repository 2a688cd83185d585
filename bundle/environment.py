"""Settings read: from the command line, the environment and `.env`, with every mistake named at once."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dotenv.parser import Binding, parse_stream

from bundle.errors import SettingsError
from bundle.settings import Setting, Settings, table
from bundle.values import BadValue

ENV_FILE = ".env"

MAKE_ONLY = frozenset({"HOST", "PYTHON", "ARGS", "TF_CPP_MIN_LOG_LEVEL", "FROM", "VERSION", "TO", "DRY_RUN", "RESUME"})
"""Variables of the Makefile that are no settings."""


def find_root(start: Path | None = None) -> Path:
    """The bundle's folder: the nearest one at or above `start` that holds `.env` and models.config."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / ENV_FILE).is_file() and (folder / "models.config").is_file():
            return folder
    raise SettingsError(
        f"found no {ENV_FILE} beside a models.config in {start} or above it; run the command inside the bundle"
    )


def load(root: Path, overrides: Mapping[str, str] | None = None) -> Settings:
    """The settings of the bundle in `root`; raises SettingsError that names every bad one.

    `overrides` win over the environment, the environment over `.env`, `.env` over the defaults.
    """
    from_file = read_env_file(root / ENV_FILE)
    given = dict(overrides or {})
    problems = unknown(from_file, f"in {root / ENV_FILE}") + unknown(_make_variables(), "on make's command line")
    values: dict[str, Any] = {}
    for row in table():
        text, source = _lookup(row, given, from_file)
        try:
            value = row.read(text)
            values[row.name.lower()] = _absolute(root, value) if row.is_path else value
        except BadValue as error:
            problems.append(f"{row.name}={text} ({source}): {error}")
    problems = problems or _contradictions(values)
    if problems:
        raise SettingsError("settings cannot be used:\n  " + "\n  ".join(problems))
    return Settings(root=root.resolve(), **values)


def read_env_file(path: Path) -> dict[str, str]:
    """Names and values of an env file; a line that is neither a comment nor NAME=value is refused."""
    values: dict[str, str] = {}
    if not path.is_file():
        return values
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not a text in UTF-8 ({error}); save it as one") from error
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(
                f"{path}:{binding.original.line}: found {binding.original.string.strip()!r}, expected NAME=value"
            )
        if binding.key is not None:
            _require_the_same_for_all(path, binding)
            values[binding.key] = binding.value or ""
    return values


def _require_the_same_for_all(path: Path, binding: Binding) -> None:
    """Refuse what docker compose, which reads the file as well, would put a variable in."""
    written = binding.original.string.partition("=")[2].strip()
    if "$" in (binding.value or "") and not written.startswith("'"):
        raise SettingsError(
            f"{path}:{binding.original.line}: {binding.key} holds a $, which docker compose takes for a variable "
            "and other engines do not; write the value out, or in single quotes when the $ is meant"
        )


def add_arguments(parser: argparse.ArgumentParser, scope: str) -> None:
    """Add a flag for each setting of `scope`: EPOCHS becomes --epochs."""
    for row in table():
        if row.scope == scope:
            default = row.default or "empty"
            parser.add_argument(_flag(row), metavar=row.name, help=f"{row.help} [{default}]".replace("%", "%%"))


def overrides_from(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given as flags, for `load`."""
    given = vars(arguments)
    return {row.name: given[row.name.lower()] for row in table() if given.get(row.name.lower()) is not None}


def _flag(row: Setting) -> str:
    return "--" + row.name.lower().replace("_", "-")


def _lookup(row: Setting, given: Mapping[str, str], from_file: Mapping[str, str]) -> tuple[str, str]:
    if row.name in given:
        return given[row.name], "command line"
    if os.environ.get(row.name):
        return os.environ[row.name], "environment"
    if row.name in from_file:
        return from_file[row.name], ENV_FILE
    return row.default, "default"


def _absolute(root: Path, text: str) -> Path:
    return Path(os.path.abspath(root / Path(text).expanduser()))  # noqa: PTH100 - resolve() would follow links


def unknown(names: Iterable[str], where: str) -> list[str]:
    """A sentence for each name that is no setting, with the nearest one that is."""
    known = [row.name for row in table()]
    problems = []
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "docs/settings.md lists them all"
            problems.append(f"{name} {where}: no such setting; {hint}")
    return problems


def _make_variables() -> list[str]:
    """Names given as `make target NAME=value`: make hands them on in MAKEFLAGS behind a double dash."""
    _, _, assignments = f" {os.environ.get('MAKEFLAGS', '')}".partition(" -- ")
    names = re.findall(r"(?:^|(?<!\\) )([A-Za-z_][A-Za-z0-9_]*)[:?+!]*=", assignments)
    return [name for name in names if name not in MAKE_ONLY]


def given_to_make() -> dict[str, str]:
    """The settings that were given as `make target NAME=value`."""
    return {name: os.environ[name] for name in _make_variables() if name in os.environ}


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if values["stop_grace_seconds"] <= values["drain_seconds"]:
        problems.append(
            f"STOP_GRACE_SECONDS={values['stop_grace_seconds']} must be longer than "
            f"DRAIN_SECONDS={values['drain_seconds']}, or containers are killed while they drain"
        )
    if values["rest_port"] == values["grpc_port"]:
        problems.append(f"REST_PORT and GRPC_PORT are both {values['rest_port']}; they must differ")
    return problems
