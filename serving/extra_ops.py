"""Operations that the real server's binary has besides TensorFlow's: whose they are, and those installed here."""

from __future__ import annotations

import importlib.util
import logging
import re
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

_MISSING = re.compile(r"Op type not registered '([^']+)'")
_LIBRARIES = "tensorflow_text"


class _Package(NamedTuple):
    name: str
    ops: re.Pattern[str]
    engines: str


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
    package = _package_of(op)
    return package.name if package else ""


def explained(message: str) -> str:
    """TensorFlow's message, and if it misses an operation of a known package, whose that is and which engine has it."""
    missing = _MISSING.search(message)
    package = _package_of(missing[1]) if missing else None
    if missing is None or package is None:
        return message
    return f"{message} {missing[1]} is an operation of {package.name}: {package.engines}."


def load_installed() -> None:
    """Have TensorFlow know the operations of TensorFlow Text, if that is installed; call this once.

    Its libraries are loaded without its Python, which needs Keras. The log names those that do not load.
    """
    found = importlib.util.find_spec(_LIBRARIES)
    for folder in (found and found.submodule_search_locations) or ():
        loads = {library.name: _loads(library) for library in sorted(Path(folder).glob("python/*/*.so"))}
        log.info("TensorFlow Text: %d libraries of operations loaded", sum(loads.values()))
        if not all(loads.values()):
            failed = ", ".join(name for name, does in loads.items() if not does)
            log.warning("TensorFlow Text: this TensorFlow does not load %s; versions that need it fail", failed)


def _package_of(op: str) -> _Package | None:
    return next((package for package in _PACKAGES if package.ops.match(op)), None)


def _loads(library: Path) -> bool:
    import tensorflow as tf

    try:
        tf.load_op_library(str(library))
    except (tf.errors.OpError, OSError):
        return False
    return True
