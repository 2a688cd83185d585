"""Reading the command line into `Options`, by TensorFlow's rules for flags: `--name=value`, bare booleans."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from serving.flags import FLAGS, Flag, Options, Value

_BY_NAME: Final = {flag.name: flag for flag in FLAGS}
_RANGES: Final = {"int32": range(-(2**31), 2**31), "int64": range(-(2**63), 2**63)}


class FlagError(Exception):
    """A command line that cannot be understood; `str()` says what was found and what is expected."""


class HelpRequested(Exception):
    """`--help` was given."""


def parse(argv: Sequence[str]) -> Options:
    """Return the options of a command line without the program's name; a repeated flag counts once, the last.

    Raises FlagError for unknown flags, stray words and values of the wrong kind, HelpRequested for --help.
    """
    values: dict[str, Value] = {}
    for argument in argv:
        if argument in ("--help", "-h", "-help"):
            raise HelpRequested
        name, value = _parse_one(argument)
        values[name] = value
    return Options(**values)  # type: ignore[arg-type]


def ineffective(options: Options) -> list[Flag]:
    """Return the flags that were changed from their default and have no effect here."""
    return [flag for flag in FLAGS if flag.support != "supported" and getattr(options, flag.name) != flag.default]


def usage() -> str:
    """The text of --help: one flag per line with its default, kind and meaning."""
    lines = ["usage: model-server", "Flags:"]
    for flag in FLAGS:
        default = f'"{flag.default}"' if flag.kind == "string" else flag.shown_default
        note = "" if flag.support == "supported" else f" ({flag.support}: no effect)"
        lines.append(f"\t--{flag.name + '=' + default:<50}\t{flag.kind}\t{flag.help}{note}")
    return "\n".join(lines) + "\n"


def version_text() -> str:
    """The text of --version, without importing TensorFlow."""
    library = next(filter(None, map(_installed, ("tensorflow-cpu", "tensorflow"))), "unknown")
    ours = _installed("tf-serving-bundle") or "0"
    return f"TensorFlow ModelServer: 2.19.1+bundle.{ours}\nTensorFlow Library: {library}\n"


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _parse_one(argument: str) -> tuple[str, Value]:
    name, equals, text = argument.removeprefix("--").partition("=")
    flag = _BY_NAME.get(name) if argument.startswith("--") else None
    if flag is None:
        raise FlagError(f"unknown argument: {argument}{_hint(argument, name)}")
    if not equals:
        if flag.kind == "bool":
            return name, True
        raise FlagError(f"unknown argument: {argument} (write --{name}=<{flag.kind}>)")
    value = _convert(flag, text)
    if value is None:
        raise FlagError(f"Couldn't interpret value {text} for flag {name}. Expected: {_expected(flag)}")
    return name, value


def _hint(argument: str, name: str) -> str:
    if not argument.startswith("--"):
        return " (flags are written --name=value)"
    close = difflib.get_close_matches(name, _BY_NAME, n=1)
    return f" (did you mean --{close[0]}?)" if close else " (see --help for the list of flags)"


def _convert(flag: Flag, text: str) -> Value | None:
    if flag.kind == "string":
        return text
    if flag.kind == "bool":
        return {"true": True, "false": False}.get(text)
    if flag.kind == "float":
        return _float(text)
    if not re.fullmatch(r"\s*[+-]?[0-9]+", text, re.ASCII):
        return None
    number = int(text)
    return number if number in _RANGES[flag.kind] else None


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _expected(flag: Flag) -> str:
    return {"bool": "true or false", "float": "a number"}.get(flag.kind, f"a whole number ({flag.kind})")
