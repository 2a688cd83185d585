"""The part of a graph that some of its nodes need; what saves and restores the variables is often most of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def behind(graph_def: Any, keep: set[str]) -> Any:
    """A GraphDef with the nodes that those in `keep` depend on, themselves and all functions that are called."""
    from tensorflow.core.framework import graph_pb2

    every = {node.name: node for node in graph_def.node}
    waiting, found = [name for name in keep if name in every], dict.fromkeys(keep & every.keys())
    while waiting:
        for source in every[waiting.pop()].input:
            name = source.lstrip("^").partition(":")[0]
            if name not in found:
                found[name] = None
                waiting.append(name)
    nodes = [node for node in graph_def.node if node.name in found]
    called = _called(graph_def, nodes)
    library = graph_def.library
    part = graph_pb2.GraphDef(versions=graph_def.versions, node=nodes)
    part.library.function.extend(f for f in library.function if f.signature.name in called)
    part.library.gradient.extend(g for g in library.gradient if {g.function_name, g.gradient_func} <= called)
    return part


def _called(graph_def: Any, nodes: Iterable[Any]) -> set[str]:
    """The names of the functions that `nodes` call, directly or through others, or that may be put in their place."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    called = {name for name, function in functions.items() if "api_implements" in function.attr}
    waiting = [*nodes, *(node for name in called for node in functions[name].node_def)]
    while waiting:
        for name in _references(waiting.pop()) & functions.keys() - called:
            called.add(name)
            waiting.extend(functions[name].node_def)
    return called


def _references(node: Any) -> set[str]:
    listed = (function.name for value in node.attr.values() for function in value.list.func)
    return {node.op, *(value.func.name for value in node.attr.values()), *listed}


def _signatures(meta_graph: Any) -> list[Any]:
    return [s for name, s in meta_graph.signature_def.items() if not name.startswith("__")]


def of_requests(meta_graph: Any) -> set[str]:
    """The nodes that requests feed and fetch."""
    infos = [info for s in _signatures(meta_graph) for info in (*s.inputs.values(), *s.outputs.values())]
    return {name.partition(":")[0] for info in infos for name in _tensor_names(info)}


def _tensor_names(info: Any) -> list[str]:
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if kind == "composite_tensor":
        return [component.name for component in info.composite_tensor.components]
    return [info.name]
