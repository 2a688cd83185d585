"""Operations whose attributes decide what they do: each may only have the values with which it computes.

A value is what stands at the node itself. One that a function leaves to its callers is not known here, so it counts as
a forbidden one, and so does one of another type. This runs in the worker, on the parsed graph.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.message import DecodeError

from rollout.gate.text import shown
from rollout.gate.use import Use

_STREAMS: Final = frozenset({b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"})
# A handle that was read, not made by an operation, can name any variable or table; DT_VARIANT can hold handles.
_HANDLES: Final = frozenset({20, 21})
_EXECUTORS: Final = frozenset({b"", b"DEFAULT", b"SINGLE_THREADED_EXECUTOR"})


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which values of one kind an attribute may have; without it the operation has its default, which is allowed."""

    attribute: str
    kind: str
    allows: Callable[[Any], bool]
    why: str


def _text(attribute: str, allows: Callable[[bytes], bool], why: str) -> Rule:
    return Rule(attribute, "s", lambda value: allows(value.s), why)


def _types(attribute: str, kind: str, found: Callable[[Any], Iterable[int]]) -> Rule:
    return Rule(attribute, kind, lambda value: _HANDLES.isdisjoint(found(value)), "makes up a handle of its own")


@functools.cache
def _asks_for_no_plugin(config: bytes) -> bool:
    from tensorflow.core.protobuf import config_pb2

    try:
        rewriting = config_pb2.ConfigProto.FromString(config).graph_options.rewrite_options
    except DecodeError:
        return False
    return not rewriting.custom_optimizers


@functools.cache
def _rewrites_with_no_plugin(config: bytes) -> bool:
    from tensorflow.core.protobuf import rewriter_config_pb2

    try:
        return not rewriter_config_pb2.RewriterConfig.FromString(config).custom_optimizers
    except DecodeError:
        return False


def _compiled_in(source: bytes) -> bool:
    return source == b"local://" or source.startswith(b"bytes://")


_CALL: Final = (
    _text("executor_type", _EXECUTORS.__contains__, "asks for an executor that is no part of TensorFlow"),
    _text("config_proto", _asks_for_no_plugin, "asks for optimizers that are no part of TensorFlow"),
    _text("config", _rewrites_with_no_plugin, "asks for optimizers that are no part of TensorFlow"),
)
_CONSTANT: Final = (_types("value", "tensor", lambda value: [value.tensor.dtype]),)
_SPARSE: Final = (_types("dtype", "type", lambda value: [value.type]),)
_RESTORED: Final = (_types("dt", "type", lambda value: [value.type]),)
_MESSAGES: Final = (_text("descriptor_source", _compiled_in, "reads descriptors from a file"),)
RULES: Final = {
    "Const": _CONSTANT,
    "HostConst": _CONSTANT,
    "ParseTensor": (_types("out_type", "type", lambda value: [value.type]),),
    "DeserializeSparse": _SPARSE,
    "DeserializeManySparse": _SPARSE,
    "Restore": _RESTORED,
    "RestoreSlice": _RESTORED,
    "RestoreV2": (_types("dtypes", "list", lambda value: value.list.type),),
    "PrintV2": (_text("output_stream", _STREAMS.__contains__, "prints to somewhere else than the server's log"),),
    "DecodeProtoV2": _MESSAGES,
    "EncodeProto": _MESSAGES,
    "FixedUnigramCandidateSampler": (_text("vocab_file", b"".__eq__, "reads its vocabulary from a file"),),
    "PartitionedCall": _CALL,
    "StatefulPartitionedCall": _CALL,
}
"""The rules by operation."""


def forbidden(graph_def: Any) -> list[Use]:
    """The nodes of the graph and of its functions, run or not, that break a rule."""
    uses = [*_in(graph_def.node, "")]
    for function in graph_def.library.function:
        uses += _in(function.node_def, function.signature.name)
    return uses


def _in(nodes: Any, function: str) -> Iterator[Use]:
    for node in nodes:
        for rule in RULES.get(node.op, ()):
            if rule.attribute in node.attr:
                value = node.attr[rule.attribute]
                if value.WhichOneof("value") != rule.kind or not rule.allows(value):
                    yield Use(node.op, node.name, function, f"{rule.why} ({rule.attribute} is {_told(value)})")


def _told(value: Any) -> str:
    kind = value.WhichOneof("value")
    return shown(value.s.decode(errors="replace")) if kind == "s" else f"of kind {kind}"
