"""Which operations a graph holds and where, and what those do that are only allowed in their place.

Savers and tables take the path of a file from a tensor. A server feeds the paths of the version's own files while it
restores and initialises the version; a path from anywhere else may lead anywhere. So what a server runs is followed
from its beginnings through every function that is called, and each such tensor back to where it comes from.
This runs in the worker, on the parsed graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollout.gate.structure import tensors_of
from rollout.gate.tracing import Body, Variables, fed_arguments, node_of, tensor_of
from rollout.gate.use import Use
from serving import savedmodel

_WRITERS = frozenset({"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"})
_TABLES = {"InitializeTableFromTextFile": 1, "InitializeTableFromTextFileV2": 1}
_READERS = {"Restore": 0, "RestoreSlice": 0, "RestoreV2": 0}
_WATCHED = {**_READERS, **_TABLES}
_BY_INPUTS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_BY_LATER_INPUTS = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})  # The first input chooses.
_WITHOUT_OUTPUT = frozenset({"NoOp", *_TABLES, "InitializeTable", "InitializeTableV2"})


@dataclasses.dataclass(frozen=True)
class Beginning:
    """Nodes that a server runs, and the tensors to which it feeds the path of a file of the version."""

    what: str
    nodes: tuple[str, ...]
    fed: frozenset[str] = frozenset()
    restores: bool = False


def first_uses(graph_def: Any) -> dict[str, Use]:
    """Each operation with one node that holds it, of all nodes of the graph and its functions, run or not."""
    bodies = [("", graph_def.node), *((f.signature.name, f.node_def) for f in graph_def.library.function)]
    functions = {name for name, _ in bodies}  # A node can be a call of one; its body is looked at by itself.
    uses: dict[str, Use] = {}
    for function, nodes in bodies:
        for node in nodes:
            if node.op not in uses and node.op not in functions:
                uses[node.op] = Use(node.op, node.name, function)
    return uses


def misplaced(meta_graph: Any) -> list[Use]:
    """The operations that read or write files other than the version's own, as far as a server can run them."""
    walk = _Walk(meta_graph.graph_def)
    found: dict[Use, None] = {}
    for beginning in _beginnings(meta_graph):
        found.update(dict.fromkeys(walk.from_(beginning)))
    return list(found)


def _beginnings(meta_graph: Any) -> Iterator[Beginning]:
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    assets = frozenset(map(tensor_of, (asset.tensor_info.name for asset in savedmodel.asset_files(meta_graph))))
    for name, signature in meta_graph.signature_def.items():
        infos = [*signature.inputs.values(), *signature.outputs.values()]
        reached = tuple(node_of(tensor) for info in infos for tensor in tensors_of(info))
        # Clients may ask for any signature by its name, but not for an operation that has no output.
        if any(_has_output(nodes.get(node)) for node in reached):
            yield Beginning(f"signature {name}", reached)
    for name in _initialisers(meta_graph):
        yield Beginning("the initialisation", (node_of(name),), assets)
    saver = meta_graph.saver_def
    if saver.restore_op_name:
        fed = assets | {tensor_of(saver.filename_tensor_name)}
        yield Beginning("the restore operation", (node_of(saver.restore_op_name),), fed, restores=True)


def _initialisers(meta_graph: Any) -> list[str]:
    signature = meta_graph.signature_def.get(savedmodel.INIT_SIGNATURE)
    named = [info.name for info in signature.outputs.values()] if signature is not None else []
    collections = meta_graph.collection_def
    kept = [key for key in savedmodel.INIT_COLLECTIONS if key in collections]
    return named + [name for key in kept for name in collections[key].node_list.value]


def _has_output(node: Any) -> bool:
    if node is None or node.op in _WITHOUT_OUTPUT:
        return False
    return node.op not in _BY_INPUTS or len(node.attr["Tout"].list.type) > 0


class _Walk:
    """A graph, its functions, and which of these come to an operation that is watched."""

    def __init__(self, graph_def: Any) -> None:
        self._nodes = {node.name: node for node in graph_def.node}
        self._variables = Variables(graph_def)
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._bodies = {name: {n.name: n for n in f.node_def} for name, f in self._functions.items()}
        self._beside = _stand_ins(graph_def.library)
        self._watched = self._functions_that_come_to_a_watched_one()

    def from_(self, beginning: Beginning) -> Iterator[Use]:
        """What is misplaced when a server runs `beginning`."""
        calls: list[tuple[str, tuple[bool, ...]]] = []
        body = Body("", self._nodes, beginning.fed, self._variables)
        for node in self._behind(beginning.nodes):
            yield from self._judged(node, body, beginning)
            calls += self._calls(node, body)
        seen = set(calls)
        while calls:
            name, fed = calls.pop()
            body = Body(name, self._bodies[name], fed_arguments(self._functions[name], fed))
            for node in body.nodes.values():
                yield from self._judged(node, body, beginning)
                more = [call for call in self._calls(node, body) if call not in seen]
                seen.update(more)
                calls += more

    def _behind(self, names: Sequence[str]) -> list[Any]:
        """The nodes of the graph that `names` depend on, and themselves."""
        waiting, found = list(names), dict.fromkeys(names)
        while waiting:
            node = self._nodes.get(waiting.pop())
            inputs = dict.fromkeys(map(node_of, node.input)) if node is not None else {}
            waiting += [name for name in inputs if name not in found]
            found.update(inputs)
        return [self._nodes[name] for name in found if name in self._nodes]

    def _judged(self, node: Any, body: Body, beginning: Beginning) -> Iterator[Use]:
        if node.op in _WRITERS:
            yield Use(node.op, node.name, body.function, f"writes a checkpoint, and {beginning.what} comes to it")
        elif node.op in _WATCHED and not body.is_fed(node, _WATCHED[node.op]):
            yield Use(node.op, node.name, body.function, _wrong_file(node.op, beginning))
        elif node.op in _READERS and not beginning.restores:
            yield Use(node.op, node.name, body.function, f"reads a checkpoint, and {beginning.what} comes to it")

    def _calls(self, node: Any, body: Body) -> Iterator[tuple[str, tuple[bool, ...]]]:
        """The functions that `node` may run and that are of interest, and which of their arguments are fed."""
        data = [tensor for tensor in node.input if not tensor.startswith("^")]
        passed = data[1:] if node.op in _BY_LATER_INPUTS else data
        fed = tuple(body.comes_from_a_feed(tensor) for tensor in passed)
        for name, is_direct in _called(node, self._functions):
            for each in (name, *self._beside.get(name, ())):
                if each in self._watched:
                    yield each, fed if is_direct else ()

    def _functions_that_come_to_a_watched_one(self) -> set[str]:
        callers: dict[str, set[str]] = {}
        watched = set()
        for name, function in self._functions.items():
            for node in function.node_def:
                if node.op in _WATCHED or node.op in _WRITERS:
                    watched.add(name)
                for called, _ in _called(node, self._functions):
                    for each in (called, *self._beside.get(called, ())):
                        callers.setdefault(each, set()).add(name)
        waiting = list(watched)
        while waiting:
            more = callers.get(waiting.pop(), set()) - watched
            watched |= more
            waiting += more
        return watched


def _called(node: Any, functions: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The functions that a node names, as its operation or in its attributes and theirs.

    With each comes whether the node itself calls it with its inputs. A loop may hand on another tensor in its next
    turn; and what an attribute of a function names, that function calls with tensors of its own.
    """
    if node.op in functions:
        yield node.op, True
    is_call = node.op in _BY_INPUTS or node.op in _BY_LATER_INPUTS
    waiting = [(each, is_call) for value in node.attr.values() for each in _named(value)]
    while waiting:
        function, is_direct = waiting.pop()
        if function.name in functions:
            yield function.name, is_direct
        waiting += [(each, False) for value in function.attr.values() for each in _named(value)]


def _named(value: Any) -> list[Any]:
    kind = value.WhichOneof("value")
    return [value.func] if kind == "func" else list(value.list.func) if kind == "list" else []


def _stand_ins(library: Any) -> dict[str, tuple[str, ...]]:
    """The functions that TensorFlow may run in the place of, or for the gradient of, another."""
    beside: dict[str, set[str]] = {}
    for gradient in library.gradient:
        beside.setdefault(gradient.function_name, set()).add(gradient.gradient_func)
    families: dict[bytes, set[str]] = {}
    for function in library.function:
        if "api_implements" in function.attr:
            families.setdefault(function.attr["api_implements"].s, set()).add(function.signature.name)
    for family in families.values():
        for name in family:
            beside.setdefault(name, set()).update(family - {name})
    known = {function.signature.name for function in library.function}
    return {name: tuple(sorted(others & known)) for name, others in beside.items()}


def _wrong_file(operation: str, beginning: Beginning) -> str:
    if operation in _TABLES:
        return f"fills a table, when {beginning.what} is run, from a file that is no asset of the version"
    if beginning.restores:
        return "reads a checkpoint that is not the version's own"
    return f"reads a checkpoint, and {beginning.what} comes to it"
