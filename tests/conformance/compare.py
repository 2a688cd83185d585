"""Whether an answer is the recorded one, apart from what differs between two runs of the real server as well."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# Names that TensorFlow gives to nodes and functions when a model is traced: not the server's doing.
_TRACED = (
    (re.compile(r"\{\{(function_)?node [^}]*\}\}"), "{{node}}"),
    (re.compile(r'(name\\?"?: \\?")(?:[^"\\]*:\d+|NoOp)(\\?")'), r"\1tensor\2"),
)


def same_text(wanted: str, got: str) -> bool:
    """Same layout and same values; the order of members and the last digits of numbers are free."""
    wanted, got = _without_traced_names(wanted), _without_traced_names(got)
    if wanted == got:
        return True
    try:
        return _layout(wanted) == _layout(got) and same_value(json.loads(wanted), json.loads(got))
    except ValueError:
        return False


def same_value(wanted: Any, got: Any) -> bool:
    """Equal, with numbers within float32's precision and traced names aside."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        if "dtype" in wanted and "name" in wanted:  # a TensorInfo
            wanted, got = {**wanted, "name": ""}, {**got, "name": ""}
        return wanted.keys() == got.keys() and all(same_value(wanted[key], got[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(same_value, wanted, got))
    if isinstance(wanted, float) and isinstance(got, (int, float)):
        both_nan = math.isnan(wanted) and math.isnan(got)
        return both_nan or math.isclose(wanted, got, rel_tol=1e-5, abs_tol=1e-6)
    if isinstance(wanted, str) and isinstance(got, str):
        return _without_traced_names(wanted) == _without_traced_names(got)
    return bool(wanted == got)


def _without_traced_names(text: str) -> str:
    for pattern, mask in _TRACED:
        text = pattern.sub(mask, text)
    return text


def _layout(text: str) -> list[str]:
    """The lines without their numbers, in an order that does not depend on the members'."""
    return sorted(re.sub(r"[,\s]+$", "", _NUMBER.sub("#", line)) for line in text.split("\n"))
