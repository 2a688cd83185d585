"""Whether a graph surely ends: a run that does not needs a thread that watches the time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_LOOPS: Final = frozenset({"While", "StatelessWhile"})
# What `i < n` consists of; anything else may wait for a value that never comes.
_COUNTING: Final = frozenset({"Less", "LogicalAnd", "Const", "Identity", "Enter", "Merge", "Placeholder", "NoOp"})
# They wait for another op of the same run, which must then have a thread of its own.
_WAITING: Final = re.compile(r".*(Dequeue|TakeMany|Unstage|Unbatch|Recv).*")


def surely_ends(graph_def: Any) -> bool:
    """Whether no op waits for another one, and all loops count up to a number, as those over a batch's rows do."""
    functions = {function.signature.name: function.node_def for function in graph_def.library.function}
    groups = [graph_def.node, *functions.values()]
    return all(
        not waits(node.op) and _condition(node, group, functions) <= _COUNTING for group in groups for node in group
    )


def waits(op: str) -> bool:
    """Whether an op of this type may wait for another one of the same run."""
    return _WAITING.fullmatch(op) is not None


def _condition(node: Any, group: Iterable[Any], functions: Mapping[str, Iterable[Any]]) -> set[str]:
    """The types of the ops that decide whether the loop `node` goes on; none for other nodes."""
    if node.op in _LOOPS:
        return {inner.op for inner in functions[node.attr["cond"].func.name]}
    return _behind(node, group) if node.op == "LoopCond" else set()


def _behind(condition: Any, group: Iterable[Any]) -> set[str]:
    """The types of the ops between a lowered loop's condition and what goes round in it."""
    nodes = {node.name: node for node in group}
    ops: set[str] = set()
    waiting = [condition]
    while waiting:
        for source in waiting.pop().input:
            node = nodes.get(source.lstrip("^").partition(":")[0])  # None for the argument of a function
            if node is not None:
                ops.add(node.op)
                waiting.extend([node] if node.op not in ("Merge", "Enter") else [])
    return ops
