"""Operations that the real server's binary has besides TensorFlow's: whose they are, and those installed here."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

_MISSING = re.compile(r"Op type not registered '([^']+)'")
_LIBRARIES = "tensorflow_text"


class _Package(NamedTuple):
    name: str
    ops: re.Pattern[str]
    cure: str


_PACKAGES = (
    _Package(
        "TensorFlow Text",
        re.compile(
            r"TFText>|Sentencepiece|Wordpiece|WhitespaceTokenize|UnicodeScriptTokenize|RegexSplit|NormalizeUTF8"
            r"|CaseFoldUTF8|FindSourceOffsets|ConstrainedSequence|MaxSpanningTree|RougeL|SentenceFragments|SplitMerge"
            r"|TokenizerFromLogits"
        ),
        "ENGINE=cpu and ENGINE=gpu have it, and most of its operations ENGINE=local after `make ops`",
    ),
    _Package(
        "TensorFlow Decision Forests",
        re.compile(r"SimpleML"),
        "ENGINE=cpu and ENGINE=gpu have it",
    ),
)


def owner(op: str) -> str:
    """The package that adds the operation to TensorFlow; empty when none is known to."""
    return next((package.name for package in _PACKAGES if package.ops.match(op)), "")


def explained(message: str) -> str:
    """TensorFlow's message, and if it misses an operation of a known package, whose that is and which engine has it."""
    missing = _MISSING.search(message)
    if missing is None:
        return message
    for package in _PACKAGES:
        if package.ops.match(missing[1]):
            return f"{message} {missing[1]} is an operation of {package.name}: {package.cure}."
    return message


def load_installed() -> None:
    """Have TensorFlow know the operations of TensorFlow Text, if that is installed; call this once.

    Its libraries are loaded without its Python, which needs Keras. Those that do not load are counted in the log.
    """
    found = importlib.util.find_spec(_LIBRARIES)
    if found is not None:
        for folder in found.submodule_search_locations or ():
            _load(Path(folder))


def _load(folder: Path) -> None:
    failed = [library.name for library in _libraries(folder) if not _loads(library)]
    loaded = sum(1 for _ in _libraries(folder)) - len(failed)
    log.info("TensorFlow Text: %d libraries of operations loaded", loaded)
    if failed:
        log.warning("TensorFlow Text: this TensorFlow does not load %s", ", ".join(failed))


def _libraries(folder: Path) -> Iterator[Path]:
    for kind in ("metrics", "ops"):
        yield from sorted(folder.glob(f"python/{kind}/*.so"))


def _loads(library: Path) -> bool:
    import tensorflow as tf

    try:
        tf.load_op_library(str(library))
    except (tf.errors.OpError, OSError):
        return False
    return True
