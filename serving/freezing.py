"""Variables made constants, so that the graph optimiser can fold them; kept only if the answers stay the same.

Constants let it fold batch norms into convolutions, which is worth a third of the time of a ResNet.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving import naming, parts
from serving.batching.graph import ops_behind
from serving.codec import dtypes
from serving.errors import ServingError
from serving.probes import Probe
from serving.session import Session

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]

TOLERANCE: Final = 1e-5

NO_VARIABLES: Final = "it has no variables"
NOTHING_TO_COMPARE: Final = "there is no input to compare the answers for; warm-up records would be some"

_VARIABLES: Final = frozenset({"VarHandleOp", "Variable", "VariableV2"})
_WRITES: Final = re.compile(r"Assign.*|(Resource)?(Sparse)?(Apply|Scatter).*|VarIsInitializedOp|DestroyResourceOp")
# On its way into the graph each byte is copied some ten times. A load has no time for more than this.
_MOST_BYTES: Final = 1 << 28


@dataclass(frozen=True)
class Answer:
    """What was answered with variables, and the seconds that it took."""

    probe: Probe
    values: Sequence[Array]
    seconds: float


def why_not(meta_graph: Any, variables_bytes: int) -> str:
    """What speaks against freezing a version, before anything is tried; empty when nothing does."""
    ops = _ops(meta_graph)
    if not ops & _VARIABLES:
        return NO_VARIABLES
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

    keep = parts.of_requests(meta_graph) | ({init_op.partition(":")[0]} if init_op else set())
    with deprecation.silence():
        needed = parts.behind(meta_graph.graph_def, keep)
        # Names of asset files, which the init op assigns; the converter cannot take strings.
        texts = [node.name for node in needed.node if node.op in _VARIABLES and _is_text(node)]
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session.compat, needed, sorted(keep), variable_names_denylist=texts
        )
    naming.restore(frozen, needed)
    return frozen


def difference(frozen: Session, answers: Iterable[Answer]) -> str:
    """Why `frozen` must not take the place of the variables that gave `answers`; empty when it gives the same."""
    compared = 0
    for answer in answers:
        probe = answer.probe
        try:
            found = frozen.run_here(probe.feeds, probe.fetches)
        except ServingError as error:
            return f"signature {probe.signature} fails with constants: {error.message}"
        worst = max(map(_distance, answer.values, found), default=0.0)
        if not worst <= TOLERANCE:
            return f"the answers of signature {probe.signature} differ by {worst:.2g} of the largest"
        compared += 1
    return "" if compared else NOTHING_TO_COMPARE


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


def _is_text(variable: Any) -> bool:
    return bool(variable.attr["dtype"].type == dtypes.STRING)


def _ops(meta_graph: Any) -> set[str]:
    return ops_behind(meta_graph.graph_def, parts.of_requests(meta_graph))
