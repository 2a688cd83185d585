"""Where an operation is used in a graph."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Use:
    """An operation at a node of the graph or of one of its functions; `why` says what it does there that it may not."""

    operation: str
    node: str
    function: str = ""
    why: str = ""
