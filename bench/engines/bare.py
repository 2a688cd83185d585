"""The in-process limit: the signature's function called in a loop, with no server around it.

`python -m bench.engines.bare FOLDER` loads the version in FOLDER, and for each line "signature batch seconds" on
stdin writes one JSON line: how many images it did, in how many seconds of wall and of CPU time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from bench import payloads, pictures
from bench.cases import GRPC_TENSOR, REST_BYTES, Case, Model
from bench.engines.base import Engine
from bench.processes import Started
from bench.sample import Sample, spending
from bundle.errors import BundleError

NAME = "bare"
BATCHES = {1: 1, 4: 4, 16: 16, 64: 32}
"""Clients to images per call: what a server can at best put together."""

_WARM_UP_S = 0.5
_LEAST_CALLS = 3


class BareEngine(Engine):
    """The function in a process of its own."""

    def __init__(self, model: Model, folder: Path, work: Path) -> None:
        command = [sys.executable, "-m", "bench.engines.bare", str(folder), str(model.subject.image_size)]
        self._started = Started(command, work / f"{NAME}-{model.name}.log")
        super().__init__(NAME, model, self._started.tree)
        try:
            if self._line() != "ready":
                last_lines = self._started.last_lines()
                raise BundleError(f"{folder} could not be loaded to measure the bare function\n{last_lines}")
        except BaseException:
            self.close()
            raise
        self.start_s = time.monotonic() - self._started.began

    def answers(self, case: Case) -> bool:
        """Once per signature: how the image came makes no difference here."""
        return case.payload in (REST_BYTES, GRPC_TENSOR)

    def warm_up(self, case: Case) -> float:
        """Call it for a moment."""
        return self._call(case, _WARM_UP_S)[0]

    def measure(self, case: Case, seconds: float, generator: str) -> Sample:
        """Call it for `seconds`, and at least a few times."""
        del generator
        with spending(self.tree) as spent:
            rate, images = self._call(case, seconds)
        engine, generated, others = spent.shares(0.0)
        return Sample(
            rate=rate,
            p50_ms=None,
            p99_ms=None,
            cpu_s_per_1000=spent.per_1000(images),
            engine_share=engine,
            generator_share=generated,
            others_share=others,
            answers=images,
            failed=0,
        )

    def close(self) -> None:
        """End the process."""
        self._started.close()

    def _call(self, case: Case, seconds: float) -> tuple[float, int]:
        stdin = self._started.process.stdin
        assert stdin is not None
        batch = BATCHES.get(case.clients, case.clients)
        stdin.write(f"{payloads.signature(case)} {batch} {seconds}\n".encode())
        stdin.flush()
        answer = self._line()
        if not answer:
            raise BundleError(f"the bare function of {self.model.name} ended\n{self._started.last_lines()}")
        told = json.loads(answer)
        return told["images"] / told["wall_s"], told["images"]

    def _line(self) -> str:
        stdout = self._started.process.stdout
        assert stdout is not None
        return stdout.readline().decode().strip()


def _main(folder: str, size: int) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    inputs = {
        "serving_default": (payloads.IMAGES, pictures.pixels(size).astype("float32")),
        "serving_bytes": (payloads.ENCODED, pictures.encoded(size)),
    }
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        signature, batch, seconds = line.split()
        name, value = inputs[signature]
        call, arguments = loaded.signatures[signature], {name: tf.constant([value] * int(batch))}
        call(**arguments)  # The first call of a shape is slower, as a server's is.
        sys.stdout.write(json.dumps(_loop(call, arguments, int(batch), float(seconds))) + "\n")
        sys.stdout.flush()


def _loop(call: object, arguments: dict[str, object], batch: int, seconds: float) -> dict[str, float]:
    assert callable(call)
    calls, began = 0, time.monotonic()
    while calls < _LEAST_CALLS or time.monotonic() - began < seconds:
        for output in call(**arguments).values():
            output.numpy()
        calls += 1
    return {"images": calls * batch, "wall_s": time.monotonic() - began}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _main(sys.argv[1], int(sys.argv[2]))
