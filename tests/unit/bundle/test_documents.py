"""JSON values become dataclasses, and what has another type is named with its place."""

from __future__ import annotations

import dataclasses
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
    counts: dict[str, int]
    anything: Any
    flag: bool


GOOD = {"inner": [{"colour": "red", "weight": 1}], "counts": {"a": 2}, "anything": [None], "flag": True}


def test_a_document_is_read_into_its_dataclasses() -> None:
    read = documents.read_as(Outer, GOOD)
    assert read == Outer((Inner("red", 1.0),), {"a": 2}, [None], True)
    assert documents.read_as(Inner, {"colour": "green", "weight": None}) == Inner("green", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inner": [{"colour": "blue", "weight": 1}]}, "colour is 'blue', expected one of red, green"),
        ({"inner": [{"colour": ["red"], "weight": 1}]}, "expected one of red, green"),
        ({"counts": {"a": True}}, "counts.a is True, expected int"),
        ({"flag": 1}, "flag is 1, expected bool"),
        ({"more": 1}, "has unknown ['more']"),
    ],
)
def test_what_has_another_type_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as raised:
        documents.read_as(Outer, GOOD | change)
    assert said in str(raised.value)
