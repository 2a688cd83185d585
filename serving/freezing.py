"""Variables made constants, so that the graph optimiser can fold them; kept only if the answers stay the same.

Constants let it fold batch norms into convolutions, which is worth a third of the time of a ResNet.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving import naming
from serving.batching.graph import ops_behind
from serving.codec import dtypes
from serving.errors import ServingError
from serving.probes import Probe
from serving.session import Session

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

TOLERANCE: Final = 1e-5

_VARIABLES: Final = frozenset({"VarHandleOp", "Variable", "VariableV2"})
_WRITES: Final = re.compile(r"Assign.*|(Resource)?(Sparse)?(Apply|Scatter).*|VarIsInitializedOp|DestroyResourceOp")
# A graph is a protobuf message: 2 GiB is its end, and on the way it is there several times.
_MOST_BYTES: Final = 1 << 30


def why_not(meta_graph: Any, variables_bytes: int) -> str:
    """What speaks against freezing a version, before anything is tried; empty when nothing does."""
    ops = _ops(meta_graph)
    if not ops & _VARIABLES:
        return "it has no variables"
    writes = sorted(op for op in ops if _WRITES.fullmatch(op))
    if writes:
        return f"its signatures use {', '.join(writes)} on variables"
    if variables_bytes > _MOST_BYTES:
        return f"its variables take {variables_bytes >> 20} MB, more than {_MOST_BYTES >> 20} MB"
    return ""


def frozen_graph(session: Session, meta_graph: Any, init_op: str | None) -> Any:
    """The GraphDef behind the signatures of `meta_graph` with the values that its variables have in `session`."""
    from tensorflow.python.framework import convert_to_constants
    from tensorflow.python.util import deprecation

    keep = _nodes(meta_graph) | ({init_op.partition(":")[0]} if init_op else set())
    # Names of asset files, which the init op assigns; the converter cannot take strings.
    texts = [node.name for node in meta_graph.graph_def.node if node.attr["dtype"].type == dtypes.STRING]
    with deprecation.silence():
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session.compat, meta_graph.graph_def, sorted(keep), variable_names_denylist=texts
        )
    naming.restore(frozen, meta_graph.graph_def)
    return frozen


def difference(plain: Session, frozen: Session, probes: Sequence[Probe]) -> str:
    """Why `frozen` must not take the place of `plain`; empty when it answers the same to what could be asked."""
    compared = 0
    for probe in probes:
        try:
            expected = plain.run(probe.feeds, probe.fetches, (), None)
        except ServingError:
            continue  # A made-up input that the graph does not take.
        try:
            found = frozen.run(probe.feeds, probe.fetches, (), None)
        except ServingError as error:
            return f"signature {probe.signature} fails with constants: {error.message}"
        worst = max(map(_distance, expected, found), default=0.0)
        if not worst <= TOLERANCE:
            return f"the answers of signature {probe.signature} differ by {worst:.2g} of the largest"
        compared += 1
    return "" if compared else "there is no input to compare the answers for; warm-up records would be some"


def _distance(expected: Array, found: Array) -> float:
    """The largest difference as a share of the largest number; infinite where it cannot be counted."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return np.inf
    if expected.dtype.kind not in "fc":
        return 0.0 if np.array_equal(expected, found) else np.inf
    if not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return np.inf
    there = np.isfinite(expected)
    if not there.any():
        return 0.0
    scale = max(1.0, float(np.abs(expected[there]).max()))
    return float(np.abs(expected[there] - found[there]).max()) / scale


def _signatures(meta_graph: Any) -> list[Any]:
    return [s for name, s in meta_graph.signature_def.items() if not name.startswith("__")]


def _nodes(meta_graph: Any) -> set[str]:
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


def _ops(meta_graph: Any) -> set[str]:
    return ops_behind(meta_graph.graph_def, _nodes(meta_graph))
