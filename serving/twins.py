"""Signatures that compute the same under two names, as Keras exports each of its models."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

# What an argument was called where the function was written.
_SHOWN_NAME: Final = "_user_specified_name"


def kinds(meta_graph: Any, signatures: Mapping[str, Any]) -> dict[str, bytes]:
    """For each of `signatures` what it computes: the same for two of them only if that is the same for sure."""
    describer = _Describer(meta_graph.graph_def)
    return {name: describer.signature(signature) or name.encode() for name, signature in signatures.items()}


class _Describer:
    """Descriptions that are equal only where what is computed is. They do not contain names that were made up."""

    def __init__(self, graph_def: Any) -> None:
        self._nodes = {node.name: node for node in graph_def.node}
        self._functions = {function.signature.name: function for function in graph_def.library.function}
        self._known: dict[str, bytes] = {}

    def signature(self, signature: Any) -> bytes:
        """Empty unless each output comes straight from a function of the inputs and of nodes that have none."""
        inputs = {info.name.partition(":")[0]: alias for alias, info in signature.inputs.items()}
        calls = {alias: self._call(info, inputs) for alias, info in signature.outputs.items()}
        if not all(calls.values()):
            return b""
        fed = [alias.encode() + _plain(info.tensor_shape) for alias, info in sorted(signature.inputs.items())]
        given = [alias.encode() + calls[alias] for alias in sorted(calls)]
        return _digest([_digest(fed), _digest(given)])

    def _call(self, info: Any, inputs: Mapping[str, str]) -> bytes:
        node = self._nodes.get(info.name.partition(":")[0])
        if node is None or not node.op.endswith("PartitionedCall"):
            return b""
        sources = [source.partition(":") for source in node.input]
        if any(name not in inputs and (name not in self._nodes or self._nodes[name].input) for name, *_ in sources):
            return b""
        fed = [f"input {inputs[name]}" if name in inputs else f"node {name}:{index}" for name, _, index in sources]
        return _digest([self._node(node), info.name.partition(":")[2].encode(), *(text.encode() for text in fed)])

    def _node(self, node: Any) -> bytes:
        """The node without its name and inputs, its functions described instead of named."""
        attributes = [
            name.encode() + (self._function(value.func.name) if value.HasField("func") else _plain(value))
            for name, value in sorted(node.attr.items())
        ]
        return _digest([node.op.encode(), *attributes])

    def _function(self, name: str) -> bytes:
        if name not in self._known:
            self._known[name] = _digest([name.encode()])
            function = self._functions.get(name)
            if function is not None:
                self._known[name] = self._body(function)
        return self._known[name]

    def _body(self, function: Any) -> bytes:
        """A function by everything but its own name; those that it calls may have other names as well."""
        body = type(function)()
        body.CopyFrom(function)
        body.signature.name = ""
        for argument in body.arg_attr.values():
            argument.attr.pop(_SHOWN_NAME, None)
        called = []
        for node in body.node_def:
            for value in node.attr.values():
                if value.HasField("func"):
                    called.append(self._function(value.func.name))
                    value.func.name = ""
        return _digest([_plain(body), *called])


def _plain(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _digest(parts: list[bytes]) -> bytes:
    joined = hashlib.sha256()
    for part in parts:
        joined.update(len(part).to_bytes(8, "little") + part)
    return joined.digest()
