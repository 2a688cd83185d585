"""JSON values become dataclasses, and what has another type is named with its place."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

import pytest

from bundle import documents


@dataclasses.dataclass(frozen=True)
class Inner:
    colour: Literal["red", "green"]
    weight: float | None


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    counts: dict[str, documents.Count]
    anything: Any
    flag: bool


GOOD = {"inner": [{"colour": "red", "weight": 1}], "counts": {"a": 2}, "anything": [None], "flag": True}


def test_a_document_is_read_into_its_dataclasses() -> None:
    whole = Outer((Inner("red", 1.0),), {"a": 2}, [None], True)
    assert documents.read(json.dumps(GOOD).encode(), Outer) == whole
    assert documents.convert(GOOD, Outer) == whole
    assert documents.convert({"colour": "green", "weight": None}, Inner) == Inner("green", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": [{"colour": "blue", "weight": 1}]}, r"Invalid enum value 'blue' - at `\$.inner\[0\].colour`"),
        ({"inner": [{"colour": ["red"], "weight": 1}]}, r"`\$.inner\[0\].colour`"),
        ({"counts": {"a": True}}, r"Expected `int`, got `bool` - at `\$.counts\[...\]`"),
        ({"counts": {"a": -1}}, r"Expected `int` >= 0 - at `\$.counts\[...\]`"),
        ({"counts": {"a": 10**400}}, r"\$.counts\[...\]|out of range|<="),
        ({"flag": 1}, r"Expected `bool`, got `int` - at `\$.flag`"),
    ],
)
def test_what_has_another_type_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        documents.read(json.dumps(GOOD | change).encode(), Outer)
    with pytest.raises(ValueError, match=said):
        documents.convert(GOOD | change, Outer)


def test_fields_of_a_later_release_are_left_out() -> None:
    assert documents.read(json.dumps(GOOD | {"more": 1}).encode(), Outer) == documents.convert(GOOD, Outer)


@pytest.mark.parametrize(
    "text",
    [
        '{"colour": "red", "weight": NaN}',
        '{"colour": "red", "weight": 1e999}',
        '{"colour": "red", "weight": Infinity}',
        '{"colour": "red", "weight": 1, "more": "\\ud800"}',
        '{"colour": "\udcff", "weight": 1}',
        '{"colour": "red", "weight": 1, "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"colour": "red", "weight": 1',
        "",
    ],
)
def test_what_no_table_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        documents.read(text.encode("utf-8", "surrogateescape"), Inner)


def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1 MB"):
        documents.read(b" " * ((1 << 20) + 1), Inner, 1 << 20)
