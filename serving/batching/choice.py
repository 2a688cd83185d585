"""Which kind of batching a version gets, by the flags."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.batching import parameters, stacking
from serving.batching.dynamic import MOST_ROWS, DynamicRunner
from serving.batching.explicit import ExplicitRunner
from serving.batching.parameters import Parameters
from serving.batching.scheduler import Scheduler
from serving.batching.stacking import Orders, Subject
from serving.flags import Options

if TYPE_CHECKING:
    from serving.servable import Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batching:
    """How the versions of a server are batched. `scheduler` is there for explicit batching only."""

    dynamic: bool
    scheduler: Scheduler | None = None
    common: Parameters | None = None
    per_model: bool = False
    orders: Orders = dataclasses.field(default_factory=Orders)
    audit_every: int = 0

    def wrap(self, runner: Runner, subject: Subject, meta_graph: Any, side_by_side: int) -> Runner:
        """Return a runner that batches, `side_by_side` batches at a time; `meta_graph` is None for what has no graph.

        Raises ServingError for bad parameters.
        """
        if self.scheduler is not None:
            chosen = self._parameters(subject.path)
            if chosen is None:
                return runner
            return ExplicitRunner(runner, _signatures(runner, meta_graph), chosen, self.scheduler)
        if not self.dynamic or meta_graph is None:
            return runner
        signatures = stacking.decide(subject, meta_graph, self.orders)
        return DynamicRunner(runner, signatures, side_by_side, self.audit_every)

    def _parameters(self, path: Path) -> Parameters | None:
        if not self.per_model:
            return self.common
        file = path / parameters.PER_MODEL_FILE
        return parameters.from_file(file) if file.exists() else None


def threads_for(asked: int, options: Options) -> int:
    """How many threads answer requests, so that as many as make a full batch can wait for each other."""
    waiting = MOST_ROWS if options.dynamic_batching and not options.enable_batching else 0
    return max(1, asked) + waiting


def from_options(options: Options) -> Batching:
    """Read the flags; raises ServingError for a parameters file that cannot be used."""
    if not options.enable_batching:
        orders = Orders.parse(options.stack_requests)
        return Batching(options.dynamic_batching, orders=orders, audit_every=max(0, options.stacking_audit_every))
    file = options.batching_parameters_file
    common = parameters.from_file(file) if file else parameters.without_file()
    scheduler = Scheduler(common.num_batch_threads, common.thread_pool_name)
    return Batching(False, scheduler, common, options.enable_per_model_batching_parameters)


def _signatures(runner: Any, meta_graph: Any) -> Any:
    return runner.signatures if meta_graph is None else meta_graph.signature_def
