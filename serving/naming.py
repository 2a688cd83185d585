"""The names of functions in a converted graph: errors quote them, so they are to be those of the SavedModel."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

# TensorFlow's converter makes `f_frozen_7` of `f_12`, numbering upwards in the order of the numbers before.
_CONVERTED: Final = re.compile(r"(.+)_frozen_(\d+)")
_NUMBERED: Final = re.compile(r"(.+)_(\d+)")


def restore(graph_def: Any, original: Any) -> None:
    """Give the functions of a converted `graph_def` their names in the `original` again, where these are certain."""
    before = [function.signature.name for function in original.library.function]
    names = {function.signature.name for function in graph_def.library.function}
    renamed = {new: old for new, old in _pairs(names, before) if old not in names}
    for function in graph_def.library.function:
        function.signature.name = renamed.get(function.signature.name, function.signature.name)
        _rename(function.node_def, renamed)
    for gradient in graph_def.library.gradient:
        gradient.function_name = renamed.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = renamed.get(gradient.gradient_func, gradient.gradient_func)
    _rename(graph_def.node, renamed)


def _pairs(names: Iterable[str], before: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Converted names with those that they had, for each stem of which there are as many as before."""
    converted, numbered = _by_stem(_CONVERTED, names), _by_stem(_NUMBERED, before)
    for stem, found in converted.items():
        if len(found) == len(numbered[stem]):
            yield from zip(_in_order(found), _in_order(numbered[stem]), strict=True)


def _by_stem(pattern: re.Pattern[str], names: Iterable[str]) -> defaultdict[str, list[tuple[int, str]]]:
    stems: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        match = pattern.fullmatch(name)
        if match is not None:
            stems[match[1]].append((int(match[2]), name))
    return stems


def _in_order(found: Iterable[tuple[int, str]]) -> list[str]:
    """The names alone."""
    return [name for _, name in sorted(found)]


def _rename(nodes: Iterable[Any], renamed: dict[str, str]) -> None:
    for node in nodes:
        node.op = renamed.get(node.op, node.op)
        for value in node.attr.values():
            for function in (value.func, *value.list.func) if value.HasField("func") else value.list.func:
                function.name = renamed.get(function.name, function.name)
