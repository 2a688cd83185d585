"""What ops stand behind a signature, and whether they change anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Stateful by registration, but they change nothing: variables and tables are read, functions are looked into.
_HARMLESS: Final = re.compile(
    r"VarHandleOp|ReadVariableOp|_?ReadVariablesOp|VarIsInitializedOp|Variable(V2)?|ResourceGather(Nd)?"
    r"|(Anonymous|Mutable)?HashTable(V2)?|LookupTable(Find|Size)(V2)?|Placeholder|_Arg|_Retval"
    r"|(Stateful)?PartitionedCall|While|If|Case|Assert|CheckNumerics|Print(V2)?|NoOp"
    r"|TensorArray\w*|Stack(Push|Pop|Close)?(V2)?|LookupTableExport|IsVariableInitialized"
    r"|Ref(Enter|Exit|Identity|Merge|NextIteration|Select|Switch)"
)
# Not all of these are registered as stateful.
_CHANGING: Final = re.compile(
    r".*(Random|Multinomial|Bernoulli|TruncatedNormal|Rng|StatefulUniform).*|(Resource)?(Sparse)?(Apply|Scatter).*"
    r"|Assign.*|.*PyFunc.*|Timestamp"
)


def has_open_rows(info: Any) -> bool:
    """Whether an input or output is a plain tensor whose first dimension may be of any size."""
    if info.WhichOneof("encoding") != "name":
        return False
    shape = info.tensor_shape
    return shape.unknown_rank or (len(shape.dim) > 0 and shape.dim[0].size == -1)


def changes_state(meta_graph: Any, signature: Any) -> bool:
    """Whether a request for `signature` may leave something changed, or be answered differently the next time."""
    return bool(changing_ops(meta_graph, signature))


def changing_ops(meta_graph: Any, signature: Any) -> list[str]:
    """The types of the ops behind `signature` that change something, or draw at random."""
    return sorted(op for op in _ops_of(meta_graph, signature) if _changes_state(op))


def _ops_of(meta_graph: Any, signature: Any) -> set[str]:
    return ops_behind(meta_graph.graph_def, {info.name.partition(":")[0] for info in signature.outputs.values()})


def _changes_state(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    if _CHANGING.fullmatch(op):
        return True
    definition = op_def_registry.get(op)
    if definition is None or _HARMLESS.fullmatch(op):
        return False
    # What is given the variable itself may write to it, and is not registered as stateful for that.
    return bool(definition.is_stateful or any(argument.is_ref for argument in definition.input_arg))


def ops_behind(graph_def: Any, outputs: Iterable[str]) -> set[str]:
    """The types of the ops that `outputs` depend on, those in functions included."""
    nodes = {node.name: node for node in graph_def.node}
    functions = {function.signature.name: function for function in graph_def.library.function}
    ops: set[str] = set()
    called: set[str] = set()
    seen: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        node = nodes.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        ops.add(node.op)
        _follow(node, functions, ops, called)
        waiting.extend(source.lstrip("^").partition(":")[0] for source in node.input)
    return ops - functions.keys()


def _follow(node: Any, functions: Mapping[str, Any], ops: set[str], called: set[str]) -> None:
    """Add the ops of the functions that `node` calls, directly or through others."""
    waiting = [node]
    while waiting:
        caller = waiting.pop()
        names = {caller.op}
        for value in caller.attr.values():
            names.add(value.func.name)
            names.update(function.name for function in value.list.func)
        for name in names & functions.keys() - called:
            called.add(name)
            body = functions[name].node_def
            ops.update(inner.op for inner in body)
            waiting.extend(body)
