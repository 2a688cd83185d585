"""Where a tensor of a graph comes from: whether it is the path of a file of the version, handed on unchanged."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_PASSING = frozenset({"Identity"})
_LOOKING = frozenset({"ReadVariableOp", "VarIsInitializedOp"})


def node_of(tensor: str) -> str:
    """The name of the node that `tensor`, or a control input, comes from."""
    return tensor.partition(":")[0].removeprefix("^")


def tensor_of(name: str) -> str:
    """A tensor's full name: without a number it is the first output."""
    return name if ":" in name else f"{name}:0"


class Variables:
    """The variables of the graph whose whole use can be seen: no function has a handle of them.

    Asset paths are kept in variables between the feed and the functions that fill tables.
    """

    def __init__(self, graph_def: Any) -> None:
        self._nodes = {node.name: node for node in graph_def.node}
        self._graph_def = graph_def

    def assigned(self, handle: str) -> list[str] | None:
        """All tensors that are assigned to the variable with this handle; None when that cannot be said."""
        node = self._nodes.get(node_of(handle))
        if node is None or node.op != "VarHandleOp" or not self._is_seen_whole(node):
            return None
        users = self._users.get(node.name, [])
        if any(user.op not in _LOOKING and user.op != "AssignVariableOp" for user in users):
            return None
        writers = [user for user in users if user.op == "AssignVariableOp"]
        if any(node_of(writer.input[0]) != node.name or len(writer.input) < 2 for writer in writers):
            return None
        return [writer.input[1] for writer in writers]

    @functools.cached_property
    def _users(self) -> dict[str, list[Any]]:
        users: dict[str, list[Any]] = {}
        for node in self._nodes.values():
            for name in {node_of(tensor) for tensor in node.input if not tensor.startswith("^")}:
                users.setdefault(name, []).append(node)
        return users

    def _is_seen_whole(self, handle: Any) -> bool:
        """Whether no other node makes a handle of the same variable. In functions the names are made up at run time."""
        return self._names[_shared_name(handle)] == 1 and not self._in_functions

    @functools.cached_property
    def _names(self) -> Counter[str]:
        return Counter(_shared_name(node) for node in self._nodes.values() if node.op == "VarHandleOp")

    @functools.cached_property
    def _in_functions(self) -> bool:
        return any(n.op == "VarHandleOp" for f in self._graph_def.library.function for n in f.node_def)


def _shared_name(node: Any) -> str:
    return node.attr["shared_name"].s.decode(errors="replace") or str(node.name)


@dataclasses.dataclass(frozen=True)
class Body:
    """The nodes of the graph, or of a function, and which tensors or arguments hold the path of a version's file."""

    function: str
    nodes: Mapping[str, Any]
    fed: frozenset[str]
    variables: Variables | None = None
    _known: dict[str, bool] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def is_fed(self, node: Any, index: int) -> bool:
        """Whether the input of `node` at `index` is such a path."""
        return len(node.input) > index and self.comes_from_a_feed(node.input[index])

    def comes_from_a_feed(self, tensor: str) -> bool:
        """Whether `tensor` is such a path, handed on unchanged, by way of a variable too."""
        way: list[str] = []
        while tensor not in self._known:
            way.append(tensor)
            self._known[tensor] = False  # A ring comes back here, and from nowhere else.
            before = self._before(tensor)
            if isinstance(before, bool):
                self._known[tensor] = before
            else:
                tensor = before
        self._known.update(dict.fromkeys(way, self._known[tensor]))
        return self._known[tensor]

    def _before(self, tensor: str) -> str | bool:
        """The tensor that `tensor` is a copy of; when it is none, whether it is such a path."""
        if (tensor if self.function else tensor_of(tensor)) in self.fed:
            return True
        node = self.nodes.get(node_of(tensor))
        if node is None or not node.input:
            return False
        if node.op == "ReadVariableOp" and self.variables is not None:
            assigned = self.variables.assigned(node.input[0])
            return bool(assigned) and all(tensor_of(each) in self.fed for each in assigned or ())
        return str(node.input[0]) if node.op in _PASSING else False


def fed_arguments(function: Any, fed: Sequence[bool]) -> frozenset[str]:
    """The names of the arguments that hold such a path, when a call hands over what `fed` says."""
    arguments = function.signature.input_arg
    if len(arguments) != len(fed) or any(each.number_attr or each.type_list_attr for each in arguments):
        return frozenset()  # What is handed to which argument is not known.
    return frozenset(each.name for each, is_fed in zip(arguments, fed, strict=True) if is_fed)
