"""Variables made constants, so that the graph optimiser can fold them; only where the graph shows that they are read.

Constants let it fold batch norms into convolutions, which is worth a third of the time of a ResNet.
"""

from __future__ import annotations

import math
from typing import Any, Final

from serving import naming, parts, variables
from serving.codec import dtypes
from serving.session import Graph, Session

# On its way into the graph each byte is copied some ten times. A load has no time for more than this.
MOST_BYTES: Final = 1 << 27

NO_VARIABLES: Final = "it has no variables"


def why_not(meta_graph: Any, init_op: str | None) -> str:
    """What speaks against freezing a version; empty when constants give the answers that its variables give."""
    graph_def = _needed(meta_graph, init_op)
    if not variables.of(graph_def):
        return NO_VARIABLES
    size = variables.in_bytes(graph_def)
    if size == math.inf:
        return "the size of its variables is open"
    if size > MOST_BYTES:
        return f"its variables take {size / 2**20:.0f} MB, more than {MOST_BYTES >> 20} MB"
    return variables.why_not_constant(graph_def)


def frozen_graph(session: Session, meta_graph: Any, init_op: str | None) -> Graph:
    """The graph behind the signatures of `meta_graph` with the values that its variables have in `session`."""
    from tensorflow.python.framework import convert_to_constants
    from tensorflow.python.util import deprecation

    with deprecation.silence():
        needed = _needed(meta_graph, init_op)
        # Names of asset files, which the init op assigns; the converter cannot take strings.
        texts = [node.name for node in needed.node if node.op in variables.KINDS and _is_text(node)]
        frozen = convert_to_constants.convert_variables_to_constants_from_session_graph(
            session.compat, needed, _kept(meta_graph, init_op), variable_names_denylist=texts
        )
    naming.restore(frozen, needed)
    return Graph(frozen)


def _needed(meta_graph: Any, init_op: str | None) -> Any:
    return parts.behind(meta_graph.graph_def, set(_kept(meta_graph, init_op)))


def _kept(meta_graph: Any, init_op: str | None) -> list[str]:
    return sorted(parts.of_requests(meta_graph) | ({init_op.partition(":")[0]} if init_op else set()))


def _is_text(variable: Any) -> bool:
    return bool(variable.attr["dtype"].type == dtypes.STRING)
