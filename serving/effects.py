"""Which signatures may be tried: those whose runs leave nothing behind, not even a line in the log."""

from __future__ import annotations

import re
from typing import Any, Final

from serving import loops
from serving.batching import graph

# Nothing is known to change by them, and yet they print, complain, end the process, keep statistics, or hand over to
# code that TensorFlow knows nothing of.
_TELLING: Final = re.compile(
    r"Print(V2)?|Assert|Abort|CustomAggregator\w*|(Debug|Tpu|TPU|Mlir|Ifrt|XlaCustomCall)\w*"
    r"|\w*PyFunc\w*|\w*Write\w*|\w*Summary\w*"
)


def leaves_nothing(meta_graph: Any, signature: Any) -> bool:
    """Whether a request for `signature` changes nothing, tells nobody, and waits for nothing."""
    if graph.changes_state(meta_graph, signature):
        return False
    ops = graph.ops_behind(meta_graph.graph_def, _node_names(signature.outputs))
    return not any(is_telling(op) or loops.waits(op) or _changes_by_reference(op) for op in ops)


def can_be_repeated(meta_graph: Any, init_op: str | None) -> bool:
    """Whether nobody notices that the init op runs in more than one session."""
    ops = graph.ops_behind(meta_graph.graph_def, {init_op.partition(":")[0]} if init_op else ())
    return not any(is_telling(op) for op in ops)


def is_telling(op: str) -> bool:
    """Whether an op of this type is noticed outside its session."""
    return _TELLING.fullmatch(op) is not None and not op.startswith("TensorArrayWrite")


def _changes_by_reference(op: str) -> bool:
    """Old ops that are not registered as stateful, and change what they are given by reference."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(op)
    return definition is not None and any(argument.is_ref for argument in definition.input_arg)


def _node_names(infos: Any) -> set[str]:
    return {info.name.partition(":")[0] for info in infos.values()}
