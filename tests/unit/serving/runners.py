"""A runner without TensorFlow for tests of batching, and signatures for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.batching.stacking import Stacking, Subject
from serving.errors import invalid


class GatedRunner:
    """Doubles what it is fed, or does other `work`, when its gate is open; a row of -1 is refused."""

    def __init__(self, work: Callable[[Any], Any] = lambda x: 2 * x) -> None:
        self.work = work
        self.started = 0
        self.sizes: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.threads: list[int] = []
        self.timeouts: list[float | None] = []
        self.closed = False
        self._lock = threading.Lock()
        self._gate = threading.Event()
        self._gate.set()

    def close_gate(self) -> None:
        self._gate.clear()

    def open_gate(self) -> None:
        self._gate.set()

    def run(
        self, feeds: Mapping[str, Any], fetches: Sequence[str], targets: Sequence[str], timeout_s: float | None
    ) -> list[Any]:
        value = next(iter(feeds.values()))
        with self._lock:
            self.started += 1
            self.sizes.append(len(value) if value.ndim else 0)
            self.shapes.append(value.shape)
            self.threads.append(threading.get_ident())
            self.timeouts.append(timeout_s)
        assert self._gate.wait(20)
        if value.ndim == 1 and value.dtype != object and (value == -1).any():
            raise invalid(f"-1 is bad, in a batch of {len(value)}")
        return [np.asarray(self.work(value))] * len(fetches)

    def close(self) -> None:
        self.closed = True


def signature_of(feed: str, *fetches: str) -> Any:
    signature = meta_graph_pb2.SignatureDef()
    signature.inputs["in"].name = feed
    for number, name in enumerate(fetches):
        signature.outputs[f"out{number}"].name = name
    return signature


def declared(*fetches: str, shape: Sequence[int] | None = None) -> Stacking:
    """A signature from x:0, of that shape or any, to `fetches`, of which somebody says that its rows are apart."""
    signature = signature_of("x:0", *fetches)
    for size in shape or ():
        signature.inputs["in"].tensor_shape.dim.add(size=size)
    return Stacking(Subject("m", 1, Path("m", "1")), "s", signature, "declared")
