"""Which variables of a graph are only read, so that constants may stand for them.

What is followed is each variable's handle: through the graph and into the functions that it is passed to, up to the
operations that read it. Any other use refuses, one that TensorFlow's converter does not handle as well.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from serving.codec import dtypes

HANDLES: Final = frozenset({"VarHandleOp"})
REFERENCES: Final = frozenset({"VariableV2"})
KINDS: Final = HANDLES | REFERENCES | {"Variable"}

_LOOPS: Final = frozenset({"While", "StatelessWhile"})
# For each op that passes its inputs on to functions: which attributes name these, and the first input that they get.
_CALLS: Final[Mapping[str, tuple[tuple[str, ...], int]]] = {
    "PartitionedCall": (("f",), 0),
    "StatefulPartitionedCall": (("f",), 0),
    "If": (("then_branch", "else_branch"), 1),
    "StatelessIf": (("then_branch", "else_branch"), 1),
    "Case": (("branches",), 1),
    "While": (("cond", "body"), 0),
    "StatelessWhile": (("cond", "body"), 0),
}
_GRAPH: Final = ""


def of(graph_def: Any) -> list[Any]:
    """The nodes that are variables; names of asset files, which are strings, are none."""
    return [node for node in graph_def.node if node.op in KINDS and node.attr["dtype"].type != dtypes.STRING]


def in_bytes(graph_def: Any) -> float:
    """How large all variables are; infinite where a shape is open."""
    from tensorflow.python.framework import dtypes as types

    sizes = ((node.attr["shape"].shape, types.as_dtype(node.attr["dtype"].type).size) for node in of(graph_def))
    return sum(_elements(shape) * float(size) for shape, size in sizes)


def _elements(shape: Any) -> float:
    sizes = [int(dim.size) for dim in shape.dim]
    return math.inf if shape.unknown_rank or min(sizes, default=0) < 0 else math.prod(sizes)


def why_not_constant(graph_def: Any) -> str:
    """Which use of a variable a constant cannot stand for; empty when all are read, in the graph and its functions."""
    for function in graph_def.library.function:
        if any(node.op in KINDS for node in function.node_def):
            return f"function {function.signature.name} holds a variable"
    walk = _Walk(graph_def)
    return next(filter(None, map(walk.why_not, of(graph_def))), "") or walk.mixed_up()


@dataclass(frozen=True)
class _Place:
    """A value, by the name that it has as an input: in the graph, or in the function that is the scope."""

    scope: str
    name: str


class _Walk:
    def __init__(self, graph_def: Any) -> None:
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._users: dict[_Place, list[tuple[Any, int]]] = defaultdict(list)
        self._calls: dict[str, int] = defaultdict(int)
        # By function and number of the argument: the types that it gets, and the calls that it gets them from.
        self._passed: dict[tuple[str, int], set[tuple[int, str, str, str]]] = defaultdict(set)
        for scope, nodes in self._scopes(graph_def):
            for node in nodes:
                self._note(scope, node)

    def _scopes(self, graph_def: Any) -> Iterator[tuple[str, Iterable[Any]]]:
        yield _GRAPH, graph_def.node
        for name, function in self._functions.items():
            yield name, function.node_def

    def _note(self, scope: str, node: Any) -> None:
        for index, source in enumerate(node.input):
            if not source.startswith("^"):
                self._users[_Place(scope, source.removesuffix(":0") if scope == _GRAPH else source)].append(
                    (node, index)
                )
        for value in node.attr.values():
            for function in (value.func, *value.list.func):
                self._calls[function.name] += 1
        self._calls[node.op] += 1

    def why_not(self, variable: Any) -> str:
        """What speaks against a constant for `variable`; empty when nothing does."""
        waiting = [_Place(_GRAPH, variable.name)]
        seen = set(waiting)
        while waiting:
            place = waiting.pop()
            for node, index in self._users[place]:
                more = self._onwards(variable, place.scope, node, index)
                if more is None:
                    where = f" in function {place.scope}" if place.scope else ""
                    return f"{node.op} at {node.name}{where} uses variable {variable.name} in a way of its own"
                waiting.extend(set(more) - seen)
                seen.update(more)
        return ""

    def _onwards(self, variable: Any, scope: str, node: Any, index: int) -> list[_Place] | None:
        """Where the variable goes on from a use of it; None if a constant cannot be used so."""
        if node.op == "Identity":
            output = _output(scope, node, 0)
            after = [] if variable.op in REFERENCES else [output]
            return None if after and self._returns(scope, output.name) else after
        if variable.op in REFERENCES:
            return None
        if node.op == "ReadVariableOp":
            # The converter does not mend the name of a value that is returned.
            return None if self._returns(scope, f"{node.name}:value:0") else []
        if node.op not in _CALLS or (node.op in _LOOPS and self._is_used_after(scope, node, index)):
            return None
        return self._into_functions(variable, scope, node, index)

    def _into_functions(self, variable: Any, scope: str, node: Any, index: int) -> list[_Place] | None:
        attributes, first = _CALLS[node.op]
        places = []
        for attribute in attributes:
            value = node.attr[attribute]
            for position, called in enumerate(value.list.func or [value.func]):
                function = self._functions.get(called.name)
                if function is None or index < first or not _takes(function, index - first, node.op, attribute):
                    return None
                caller = (int(variable.attr["dtype"].type), scope, node.name, f"{attribute} {position}")
                self._passed[called.name, index - first].add(caller)
                places.append(_Place(called.name, function.signature.input_arg[index - first].name))
        return places

    def mixed_up(self) -> str:
        """Which function gets variables of several types, or something else, for one argument.

        The converter takes it that all calls of a function are alike.
        """
        for (name, index), callers in self._passed.items():
            types, calls = {dtype for dtype, *_ in callers}, {tuple(call) for _, *call in callers}
            if len(types) > 1 or len(calls) != self._calls[name]:
                return f"argument {index} of function {name} is not always the same kind of variable"
        return ""

    def _returns(self, scope: str, name: str) -> bool:
        return scope != _GRAPH and name in self._functions[scope].ret.values()

    def _is_used_after(self, scope: str, loop: Any, index: int) -> bool:
        output = _output(scope, loop, index)
        return bool(self._users.get(output)) or self._returns(scope, output.name)


def _takes(function: Any, index: int, op: str, attribute: str) -> bool:
    """Whether a variable may be passed to a function: it hands it out only to the next turn of a loop."""
    name = function.signature.input_arg[index].name
    returned = [number for number, out in enumerate(function.signature.output_arg) if function.ret[out.name] == name]
    # Another function may be put in the place of one that implements an interface.
    return (
        returned == ([index] if op in _LOOPS and attribute == "body" else []) and "api_implements" not in function.attr
    )


def _output(scope: str, node: Any, index: int) -> _Place:
    """Output `index` of an op of which all outputs have one name, as they are named where they are used."""
    if scope != _GRAPH:
        return _Place(scope, f"{node.name}:output:{index}")
    return _Place(scope, f"{node.name}:{index}" if index else node.name)
