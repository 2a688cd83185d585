"""Functions of a converted graph get their names back only where it is certain which was which."""

from __future__ import annotations

from typing import Any

import pytest
from tensorflow.core.framework import graph_pb2

from serving import naming


def graph(functions: list[str], calls: list[str]) -> Any:
    """A graph whose nodes call `calls`, one by its op, the others as the body of a loop."""
    made = graph_pb2.GraphDef()
    for name in functions:
        made.library.function.add().signature.name = name
    for number, name in enumerate(calls):
        node = made.node.add(name=f"n{number}", op="While" if number else name)
        if number:
            node.attr["body"].func.name = name
    return made


def called(made: Any) -> list[str]:
    return [node.attr["body"].func.name if node.op == "While" else node.op for node in made.node]


@pytest.mark.parametrize(
    ("before", "after", "restored"),
    [
        (["f_12"], ["f_frozen_3"], ["f_12"]),
        (["f_9", "f_12", "g_1"], ["f_frozen_3", "f_frozen_20", "g_frozen_4"], ["f_9", "f_12", "g_1"]),
        (["f_9", "f_12"], ["f_frozen_3"], ["f_frozen_3"]),
        (["f_12", "h_2"], ["f_frozen_3", "f_12"], ["f_frozen_3", "f_12"]),
        (["f"], ["f_frozen_3"], ["f_frozen_3"]),
    ],
)
def test_names_come_back(before: list[str], after: list[str], restored: list[str]) -> None:
    converted = graph(after, after)
    naming.restore(converted, graph(before, []))
    assert [function.signature.name for function in converted.library.function] == restored
    assert called(converted) == restored
