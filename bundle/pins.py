"""Lines that `make canary` puts into models.config: which versions of one model are loaded, and their labels.

The text is edited in place, so that the user's comments and other models stay as they are; taking the lines out gives
back the file byte for byte. What comes out is parsed before anybody sees it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle import files
from bundle.errors import BundleError, UsageError
from bundle.models_config import parse

_TOKEN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}<>]""")
_NOTE = "# canary: `make promote` or `make abort` takes these lines out"
_LINES = re.compile(
    rf"\n[ \t]*{re.escape(_NOTE)}"
    r"\n[ \t]*model_version_policy \{ specific \{ (?:versions: -?\d+ )*\} \}"
    r'(?:\n[ \t]*version_labels \{ key: "\w+" value: -?\d+ \})*'
)


@dataclasses.dataclass(frozen=True)
class Pins:
    """The versions that are to be loaded, and label to version."""

    versions: tuple[int, ...]
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def read(models_config: Path, model: str) -> Pins | None:
    """What models.config pins for `model`: None when its policy leaves room for new versions."""
    entry = _entry(parse(models_config), models_config, model)
    if entry.model_version_policy.WhichOneof("policy_choice") != "specific":
        return None
    return Pins(tuple(entry.model_version_policy.specific.versions), dict(entry.version_labels))


def is_ours(models_config: Path, model: str) -> bool:
    """Whether the pins of `model` were written by `write`."""
    text = models_config.read_text(encoding="utf-8")
    begin, end = _span(text, models_config, model)
    return _LINES.search(text, begin, end) is not None


def write(models_config: Path, model: str, pins: Pins | None) -> None:
    """Replace our lines for `model`, or take them out when `pins` is None; the file changes in one step.

    Raises UsageError when the model has a version policy or labels of the user's own.
    """
    models_config = models_config.resolve()  # A link stays a link.
    parse(models_config)  # For a message that says where the file is wrong.
    text = models_config.read_text(encoding="utf-8")
    begin, end = _span(text, models_config, model)
    bare = text[:begin] + _LINES.sub("", text[begin:end]) + text[end:]
    wanted = parse(models_config, bare)
    entry = _entry(wanted, models_config, model)
    if entry.HasField("model_version_policy") or entry.version_labels:
        raise UsageError(
            f"{models_config} gives {model} a version policy or labels of its own, which a canary has to set; "
            "take them out of the file, or roll out without a canary: make publish"
        )
    new = bare if pins is None else _insert(bare, _span(bare, models_config, model), pins)
    if pins is not None:
        entry.model_version_policy.specific.versions.extend(pins.versions)
        entry.version_labels.update(pins.labels)
    if parse(models_config, new) != wanted:
        raise BundleError(f"cannot edit {models_config}: the entry of {model} is written in a way not understood")
    files.write_atomically(models_config, new)


def _insert(text: str, span: tuple[int, int], pins: Pins) -> str:
    begin, end = span
    inside = text[begin:end].rstrip()
    at = begin + len(inside)
    last = text[:at].rsplit("\n", 1)[-1]
    indent = last[: len(last) - len(last.lstrip())]
    versions = "".join(f"versions: {number} " for number in pins.versions)
    lines = [_NOTE, f"model_version_policy {{ specific {{ {versions}}} }}"]
    lines += [f'version_labels {{ key: "{label}" value: {number} }}' for label, number in pins.labels.items()]
    return text[:at] + "".join(f"\n{indent}{line}" for line in lines) + text[at:]


def _span(text: str, models_config: Path, model: str) -> tuple[int, int]:
    """Where the entry of `model` begins and ends in `text`, without its braces."""
    for begin, end in _entries(text):
        alone = parse(models_config, f"model_config_list {{ config {{ {text[begin:end]}\n}} }}")
        if alone.model_config_list.config[0].name == model:
            return begin, end
    raise UsageError(f"{models_config} lists no model {model}")


def _entries(text: str) -> Iterator[tuple[int, int]]:
    """The insides of all blocks two levels deep: in a ModelServerConfig these are the entries of models."""
    opened: list[int] = []
    for token in _TOKEN.finditer(text):
        if token.group() in "{<":
            opened.append(token.end())
        elif token.group() in "}>" and opened:
            begin = opened.pop()
            if len(opened) == 1:
                yield begin, token.start()


def _entry(config: Any, models_config: Path, model: str) -> Any:
    for entry in config.model_config_list.config:
        if entry.name == model:
            return entry
    raise UsageError(f"{models_config} lists no model {model}")
