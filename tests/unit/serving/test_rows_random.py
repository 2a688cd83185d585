"""Whatever is proved to keep its rows apart answers a request in company as it does alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.batching.rows import proof
from tests.unit.serving.random_graphs import TAPES, Graph, build

GRAPHS = 400
SIZES = (1, 2, 1, 3)


class Tally:
    """What became of the graphs that keep rows apart by the way they were made."""

    def __init__(self) -> None:
        self.graphs = 0
        self.apart = 0
        self.proved = 0
        self.mixing = 0
        self.not_proved: list[str] = []

    def count(self, made: Graph, reason: str) -> None:
        self.graphs += 1
        self.apart += made.apart
        self.mixing += not made.apart
        self.proved += made.apart and not reason
        if made.apart and reason:
            self.not_proved.append(f"{made.steps}: {reason}")


def answers(made: Graph, seed: int) -> tuple[list[Any], list[Any]]:
    """What four requests are answered alone, and in one batch."""
    import tensorflow as tf

    random = np.random.default_rng(seed)
    inner = [list(tensor.shape[1:]) for tensor in made.inputs]
    requests = [[random.normal(0, 2, [size, *sides]).astype(np.float32) for sides in inner] for size in SIZES]
    with tf.compat.v1.Session(graph=made.graph) as session:
        alone = [session.run(made.output, dict(zip(made.inputs, request, strict=True))) for request in requests]
        stacked = [np.concatenate(values) for values in zip(*requests, strict=True)]
        together = session.run(made.output, dict(zip(made.inputs, stacked, strict=True)))
    return alone, np.split(together, np.cumsum(SIZES)[:-1])


def test_what_is_proved_is_answered_in_company_as_alone() -> None:
    tally = Tally()

    @settings(
        max_examples=GRAPHS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(TAPES, st.integers(0, 2**31))
    def check(tape: list[int], seed: int) -> None:
        made = build(tape)
        reason = proof.why_not(made.meta_graph, made.signature)
        tally.count(made, reason)
        if reason:
            return
        for one, other in zip(*answers(made, seed), strict=True):
            assert one.shape == other.shape, made.steps
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=str(made.steps))

    check()
    assert tally.graphs >= 300
    assert tally.mixing >= 30
    assert tally.proved >= 0.9 * tally.apart, "\n".join(tally.not_proved)
