"""Following a signature's graph from its inputs to its outputs, by the rules of the table.

What is proved: row i of each output is a function of row i of the inputs alone, and of nothing that changes with the
number of rows. Whatever the table does not know is not proved.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from serving.batching.rows.sizes import ROWS
from serving.batching.rows.sources import shape_of
from serving.batching.rows.table import FOR_BLOCKS, FOR_SIZES, RULES
from serving.batching.rows.values import FIXED, Call, NotProvedError, Value
from serving.codec import dtypes

log = logging.getLogger(__name__)

# Functions that call others twice, level by level, would be followed for ever.
_MOST_NODES: Final = 200_000
_DEEPEST_CALL: Final = 100
_COMPLEX: Final = (dtypes.COMPLEX64, dtypes.COMPLEX128)


def why_not(meta_graph: Any, signature: Any) -> str:
    """Why it is not proved that the rows of `signature` do not influence each other; empty when it is."""
    try:
        run = _Graph(meta_graph.graph_def).run(_inputs(signature))
        for alias, info in signature.outputs.items():
            _check_output(alias, run.value(_at(info)))
    except NotProvedError as reason:
        return str(reason)
    except Exception as error:
        log.debug("A graph cannot be followed", exc_info=True)
        return f"its graph cannot be followed ({type(error).__name__})"
    return ""


def _at(info: Any) -> str:
    if info.WhichOneof("encoding") != "name":
        raise NotProvedError("it has a sparse or ragged tensor")
    name, _, index = info.name.partition(":")
    return f"{name}:{index or 0}"


def _inputs(signature: Any) -> dict[str, Value]:
    inputs: dict[str, Value] = {}
    for alias, info in sorted(signature.inputs.items()):
        if _at(info) in inputs:
            raise NotProvedError(f"input `{alias}` is the same tensor as another input")
        inputs[_at(info)] = _input(alias, info)
    return inputs


def _input(alias: str, info: Any) -> Value:
    shape = shape_of(info.tensor_shape)
    if shape is None:
        raise NotProvedError(f"the rank of input `{alias}` is not known")
    if not shape or info.tensor_shape.dim[0].size >= 0:
        raise NotProvedError(f"input `{alias}` does not go by rows: its first dimension is not open")
    return Value((ROWS, *shape[1:]), by_row=True)


def _check_output(alias: str, value: Value) -> None:
    if not value.by_row or value.shape is None:
        raise NotProvedError(f"output `{alias}` does not go by rows")
    if value.shape[0] != ROWS:
        raise NotProvedError(f"output `{alias}` does not have one entry for each row")


class _Graph:
    """The nodes of a graph and its functions, with a bound on how many are followed."""

    def __init__(self, graph_def: Any) -> None:
        self._nodes = graph_def.node
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._left = _MOST_NODES

    def run(self, fed: Mapping[str, Value]) -> _Scope:
        """The outermost graph when some of its tensors are `fed`."""
        return _Scope(self, self._nodes, fed, "", 0)

    def count(self) -> None:
        """Give up when too many nodes were followed."""
        self._left -= 1
        if self._left < 0:
            raise NotProvedError(f"its graph has more than {_MOST_NODES} nodes, calls counted each time")

    def call(self, name: str, arguments: Sequence[Value], where: str, depth: int) -> Sequence[Value]:
        """The results of a function; everything in it that runs is followed, for what it may do besides."""
        function = self._functions[name]
        if depth > _DEEPEST_CALL:
            raise NotProvedError(f"its functions call each other more than {_DEEPEST_CALL} levels deep")
        named = zip(function.signature.input_arg, arguments, strict=False)
        scope = _Scope(self, function.node_def, {f"{arg.name}:0": value for arg, value in named}, where, depth)
        for node in function.control_ret.values():
            scope.value(f"^{node}")
        return [scope.value(function.ret[arg.name]) for arg in function.signature.output_arg]

    def is_function(self, name: str) -> bool:
        """Whether an operation of that name is a function of the graph."""
        return name in self._functions

    def results_of(self, name: str) -> Any:
        """The results that a function declares."""
        return self._functions[name].signature.output_arg


class _Scope:
    """The nodes of one graph or of one call of a function, and what is known of their results."""

    def __init__(self, graph: _Graph, nodes: Iterable[Any], fed: Mapping[str, Value], where: str, depth: int) -> None:
        self._graph = graph
        self._nodes = {node.name: node for node in nodes}
        self._fed = fed
        self._where = where
        self._depth = depth
        self._results: dict[str, Sequence[Value]] = {}

    def value(self, tensor: str) -> Value:
        """What is known of `tensor`; of a control input nothing, but what stands behind it is followed."""
        waiting = [tensor]
        while waiting:
            if self._is_known(waiting[-1]):
                waiting.pop()
                continue
            node = self._node(waiting[-1])
            missing = [source for source in node.input if not self._is_known(source)]
            if missing and len(waiting) > len(self._nodes) * 2 + 2:
                raise NotProvedError("its graph goes round in circles")
            waiting += missing
            if not missing:
                self._results[node.name] = self._results_of(node)
        return self._known(tensor)

    def _is_known(self, tensor: str) -> bool:
        return self._full(tensor) in self._fed or _node_of(tensor) in self._results

    def _known(self, tensor: str) -> Value:
        if tensor.startswith("^"):
            return FIXED
        fed = self._fed.get(self._full(tensor))
        if fed is not None:
            return fed
        results = self._results[_node_of(tensor)]
        index = self._index(tensor)
        if index >= len(results):
            raise NotProvedError(f"{self._where}{tensor} is no result that can be followed")
        return results[index]

    def _full(self, tensor: str) -> str:
        return tensor if ":" in tensor else f"{tensor}:0"

    def _index(self, tensor: str) -> int:
        """The number of a result; in functions it is named by its argument, and by the place in that."""
        parts = tensor.split(":")
        if len(parts) < 3:
            return int(parts[1]) if len(parts) == 2 else 0
        return _first_of(self._node(tensor), parts[1], self._graph) + int(parts[2])

    def _node(self, tensor: str) -> Any:
        node = self._nodes.get(_node_of(tensor))
        if node is None:
            raise NotProvedError(f"nothing makes the tensor {self._where}{tensor}")
        return node

    def _results_of(self, node: Any) -> Sequence[Value]:
        self._graph.count()
        inputs = [self._known(source) for source in node.input if not source.startswith("^")]
        where = self._where + node.name

        def follow(function: str, arguments: Sequence[Value]) -> Sequence[Value]:
            return self._graph.call(function, arguments, f"{where}/", self._depth + 1)

        if self._graph.is_function(node.op):
            return follow(node.op, inputs)
        definition = _definition(node.op)
        call = Call(node, definition, where, inputs, follow)
        _check_attributes(call)
        rule = RULES.get(node.op)
        if rule is None:
            return _beside_the_way(call, definition)
        _check_inputs(call)
        try:
            return rule(call)
        except OverflowError:
            call.fail("makes a size that is too large to be followed")
        except (IndexError, ValueError):
            call.fail("takes tensors that do not fit together")


def _check_attributes(call: Call) -> None:
    """Give up on attributes that are not known, or that no rule reckons with."""
    for name, value in sorted(call.node.attr.items()):
        if value.placeholder:
            call.fail(f"takes its `{name}` from whoever calls the function it is in")
        if value.type in _COMPLEX and any(each.by_row for each in call.inputs):
            # Infinite ones, and divisions by zero, come to something else in kernels that take several at once.
            call.fail("computes with complex numbers, whose results depend on their place in the batch")


def _check_inputs(call: Call) -> None:
    """Give up on inputs that only some rules reckon with."""
    if call.node.op not in FOR_SIZES and any(value.counts_rows for value in call.inputs):
        call.fail("computes with the number of rows")
    if call.node.op not in FOR_BLOCKS and any(value.blocks > 1 for value in call.inputs):
        call.fail("takes rows that are cut into blocks")


def _beside_the_way(call: Call, definition: Any) -> Sequence[Value]:
    """Results of an operation that no rule knows: fixed if it computes from what is fixed and from nothing else."""
    takes_functions = any(value.HasField("func") or value.list.func for value in call.node.attr.values())
    if definition is None or definition.is_stateful or takes_functions or not call.inputs:
        call.fail("is not among the operations whose rows are known to be apart")
    if any(value.by_row or value.counts_rows for value in call.inputs):
        call.fail("is not among the operations whose rows are known to be apart")
    return [FIXED] * sum(_number_of(arg, call.node) for arg in definition.output_arg)


def _definition(operation: str) -> Any:
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(operation)


def _first_of(node: Any, result: str, graph: _Graph) -> int:
    """How many results of `node` come before the argument `result`."""
    if graph.is_function(node.op):
        arguments: Any = graph.results_of(node.op)
    else:
        definition = _definition(node.op)
        arguments = definition.output_arg if definition is not None else ()
    before = 0
    for argument in arguments:
        if argument.name == result:
            return before
        before += _number_of(argument, node)
    raise NotProvedError(f"node {node.name} has no result {result}")


def _number_of(argument: Any, node: Any) -> int:
    """How many tensors an argument of an operation stands for."""
    if argument.number_attr:
        return int(node.attr[argument.number_attr].i)
    if argument.type_list_attr:
        return len(node.attr[argument.type_list_attr].list.type)
    return 1


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
