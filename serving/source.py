"""Where a version's sessions come from: its folder and its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from serving import parts, savedmodel
from serving.batching import graph
from serving.session import Graph, Session
from serving.threads import Plan

_PASSES: Final = ("pruning", "function", "dependency", "constfold", "remap")


class Source:
    """A version that sessions are made from, each with all that requests need; `config` is a ConfigProto."""

    def __init__(self, path: Path, meta_graph: Any, config: Any) -> None:
        self.path = path
        self.meta_graph = meta_graph
        self.init = savedmodel.init_op(path, meta_graph)
        self._config = config
        self._feeds = {
            name: np.array(value, dtype=object) for name, value in savedmodel.asset_feeds(path, meta_graph).items()
        }
        signatures = (s for name, s in meta_graph.signature_def.items() if not name.startswith("__"))
        self._repeatable = not any(graph.changes_state(meta_graph, signature) for signature in signatures)

    def plain(self, plan: Plan) -> Session:
        """A session with the variables of the SavedModel."""
        return self._ready(Session(self.meta_graph.graph_def, self._configured(plan), plan.runs, self._repeatable))

    def brief(self, plan: Plan) -> Session:
        """As `plain`, for a few requests only: optimising the graph takes seconds, and this one is not optimised."""
        config = self._configured(plan)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        return self._ready(Session(self._needed(), config, plan.runs, self._repeatable))

    def _needed(self) -> Any:
        """The graph without what saves variables, which is most of it where there are any."""
        whole, saver = self.meta_graph.graph_def, self.meta_graph.saver_def
        reads = {f"{node.name}/Read/ReadVariableOp" for node in whole.node if node.op == "VarHandleOp"}
        if not reads:
            return whole
        others = {saver.restore_op_name, saver.filename_tensor_name, self.init or ""}
        return parts.behind(whole, parts.of_requests(self.meta_graph) | reads | {n.partition(":")[0] for n in others})

    def constant(self, constants: Graph, plan: Plan) -> Session:
        """A session with a graph that has no variables."""
        config = self._configured(plan)
        options = config.graph_options.rewrite_options
        # Every pass copies all constants. These are the ones that make answers faster, once each: what is not asked for
        # goes, functions are opened, idle nodes go, batch norms are folded into convolutions, operations are joined.
        options.meta_optimizer_iterations = options.meta_optimizer_iterations or options.ONE
        options.optimizers.extend([] if options.optimizers else _PASSES)
        return self._ready(Session(constants, config, plan.runs, self._repeatable), restore=False)

    def _ready(self, session: Session, restore: bool = True) -> Session:
        """Restore the variables and run the init op, as TensorFlow's loader does."""
        try:
            prefix = savedmodel.variables_prefix(self.path, self.meta_graph) if restore else None
            if prefix is not None:
                saver = self.meta_graph.saver_def
                feeds = self._feeds | {saver.filename_tensor_name: np.array(prefix, dtype=object)}
                session.run(feeds, (), (saver.restore_op_name,), None)
            if self.init is not None:
                feeds = {name: value for name, value in self._feeds.items() if session.has(name)}
                session.run(feeds, (), (self.init,), None)
        except BaseException:
            session.close()
            raise
        return session

    def _configured(self, plan: Plan) -> Any:
        config = type(self._config)()
        config.CopyFrom(self._config)
        config.intra_op_parallelism_threads = plan.threads
        return config
