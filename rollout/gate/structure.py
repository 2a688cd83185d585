"""What of a SavedModel leaves open what a server would load: every choice has to be made by the version itself.

This runs in the worker, on the parsed message. Each problem is a sentence about "it", the version.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rollout.gate import operations
from rollout.gate.text import shown
from serving import savedmodel

_OPERATIONS_ONLY = frozenset({"__saved_model_init_op", "__saved_model_train_op"})


def problems(saved_model: Any, graph: Any, folder: Path, producer: int) -> list[str]:
    """Why two servers, or the gate and a server, might not load the same from `folder`, of which `graph` is served.

    `producer` is the newest version of graphs that TensorFlow knows here.
    """
    return [
        *_tags(saved_model),
        *_versions(graph.graph_def, producer),
        *_functions(graph.graph_def.library),
        *_twice("the graph", (node.name for node in graph.graph_def.node)),
        *_signatures(graph),
        *_saver(graph),
        *_init(graph),
        *_assets(graph, folder),
    ]


def _tags(saved_model: Any) -> Iterator[str]:
    sets: Counter[str] = Counter()
    for graph in saved_model.meta_graphs:
        tags = list(graph.meta_info_def.tags)
        sets[" ".join(sorted(set(tags)))] += 1
        if len(set(tags)) != len(tags):
            yield f"it has a graph whose tags are doubled ({shown(' '.join(tags))})"
    for together, count in sets.items():
        if count > 1:
            yield f"it has {count} graphs with the same tags ({shown(together)})"


def _versions(graph_def: Any, producer: int) -> Iterator[str]:
    made = graph_def.versions
    if made.producer > producer:
        yield f"its graph is of version {made.producer}, and the newest that TensorFlow knows here is {producer}"
    if made.min_consumer > producer or producer in made.bad_consumers:
        yield f"its graph says that TensorFlow's graph version {producer} must not run it"


def _functions(library: Any) -> Iterator[str]:
    names = [function.signature.name for function in library.function]
    yield from _twice("its library", names)
    for name in sorted(set(filter(operations.is_known, names))):
        yield f"it has a function named {name}, as one of TensorFlow's operations"
    for function in library.function:
        local = [argument.name for argument in function.signature.input_arg]
        yield from _twice(f"function {shown(function.signature.name)}", [*local, *(n.name for n in function.node_def)])
    yield from _twice("its gradients", (gradient.function_name for gradient in library.gradient))
    for gradient in library.gradient:
        if not {gradient.function_name, gradient.gradient_func} <= set(names):
            both = f"{shown(gradient.function_name)} by {shown(gradient.gradient_func)}"
            yield f"it has a gradient of {both}, and not both are functions of its library"


def _twice(where: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{where} has the name {shown(name)} {count} times"


def _signatures(graph: Any) -> Iterator[str]:
    nodes = {node.name for node in graph.graph_def.node}
    for name, signature in graph.signature_def.items():
        if not name.isprintable():
            yield f"it has a signature whose name cannot be printed ({shown(name)})"
        for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for alias, info in infos.items():
                what = f"{kind} {shown(alias)} of signature {shown(name)}"
                if not alias.isprintable():
                    yield f"the name of {what} cannot be printed"
                if name not in _OPERATIONS_ONLY and info.dtype not in _known_types():
                    yield f"{what} is of type {info.dtype}, which TensorFlow does not have"
                for tensor in tensors_of(info):
                    if tensor.partition(":")[0] not in nodes:
                        yield f"{what} names {shown(tensor)}, which is not in its graph"


@functools.cache
def _known_types() -> frozenset[int]:
    from tensorflow.core.framework import types_pb2

    return frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}


def _saver(graph: Any) -> Iterator[str]:
    saver, nodes = graph.saver_def, {node.name for node in graph.graph_def.node}
    if not saver.restore_op_name:
        return
    for what, name in (("restore operation", saver.restore_op_name), ("file name", saver.filename_tensor_name)):
        if name.partition(":")[0] not in nodes:
            yield f"its saver's {what} is {shown(name) or 'not named'}, which is not in its graph"


def _init(graph: Any) -> Iterator[str]:
    named = {}
    if savedmodel.INIT_SIGNATURE in graph.signature_def:
        outputs = graph.signature_def[savedmodel.INIT_SIGNATURE].outputs
        if list(outputs) != [savedmodel.INIT_SIGNATURE]:
            yield f"its {savedmodel.INIT_SIGNATURE} has other outputs than that name"
            return
        named[savedmodel.INIT_SIGNATURE] = outputs[savedmodel.INIT_SIGNATURE].name
    for key in savedmodel.INIT_COLLECTIONS:
        if key in graph.collection_def:
            named[key] = " ".join(graph.collection_def[key].node_list.value)
    if len(set(named.values())) > 1:
        each = ", ".join(f"{key}: {shown(name)}" for key, name in named.items())
        yield f"it names different operations to initialise it ({each})"
    nodes = {node.name for node in graph.graph_def.node}
    for key, name in named.items():
        if name.partition(":")[0] not in nodes:
            yield f"its {key} is {shown(name) or 'not named'}, which is not in its graph"


def _assets(graph: Any, folder: Path) -> Iterator[str]:
    nodes = {node.name for node in graph.graph_def.node}
    assets = list(savedmodel.asset_files(graph))
    yield from _twice("its list of assets", (asset.tensor_info.name for asset in assets))
    for asset in assets:
        name, parts = asset.filename, PurePosixPath(asset.filename).parts
        if not parts or name.startswith("/") or ".." in parts or not name.isprintable():
            yield f"its asset {shown(name) or 'without a name'} leads out of assets/"
        elif not (folder / "assets" / name).is_file():
            yield f"its asset {shown(name)} is not in assets/"
        if asset.tensor_info.name.partition(":")[0] not in nodes:
            yield f"its asset {shown(name)} is for {shown(asset.tensor_info.name)}, which is not in its graph"


def tensors_of(info: Any) -> list[str]:
    """The tensors that a TensorInfo names: one, or those that a sparse or composite tensor is made of."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if kind == "composite_tensor":
        return [component.name for component in info.composite_tensor.components]
    return [info.name]
