"""What a worker does with its version: describe it without running it, load it, warm it up, ask it, time it.

Everything that comes in and goes out is JSON. This is the only module of the gate that imports TensorFlow.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rollout.gate import attributes, facts, inputs, mixing, reach, records, structure, wire
from rollout.gate.use import Use
from serving import savedmodel, servable, warmup
from serving.errors import ServingError

_MOST_TOLD = 20  # More of one kind would tell nobody more.
_SLOW_S = 1.0
"""CPU time of one run from which on no larger batch is among the warm-up requests that are made."""


class Unable(Exception):
    """The version could not do it; the message is for the report."""


class Subject:
    """One version. `unrestricted` is what the process could not be kept from."""

    def __init__(self, folder: Path, unrestricted: Sequence[str] = ()) -> None:
        self._folder = folder
        self._unrestricted = list(unrestricted)
        self._loaded: servable.Servable | None = None
        self._prepared: dict[tuple[str, int], inputs.Feed] = {}

    def describe(self) -> dict[str, Any]:
        """What the graph that a server loads says about itself; nothing of it is run."""
        import tensorflow as tf

        try:
            saved_model = savedmodel.read_saved_model(self._folder)
            graph = savedmodel.choose(saved_model, servable.LoadOptions().tags)
            problems = [
                *self._ambiguities(),
                *structure.problems(saved_model, graph, self._folder, tf.version.GRAPH_DEF_VERSION),
            ]
            misused = [*attributes.forbidden(graph.graph_def), *reach.misplaced(graph)]
        except ServingError as error:
            raise Unable(str(error)) from error
        uses = reach.first_uses(graph.graph_def)
        return {
            "made_with": graph.meta_info_def.tensorflow_version,
            "loaded_with": tf.__version__,
            "operations": sorted(uses),
            "uses": [dataclasses.asdict(use) for use in (*uses.values(), *_first_of_each(misused))],
            "ambiguities": problems[:_MOST_TOLD],
            "signatures": {
                name: _signature(definition) for name, definition in graph.signature_def.items() if _is_offered(name)
            },
            "unrestricted": self._unrestricted,
        }

    def load(self) -> dict[str, float]:
        """Load the version without warming it up; the seconds and the resident bytes that this took."""
        process = psutil.Process()
        before, began = process.memory_info().rss, time.monotonic()
        try:
            self._loaded = servable.load(self._folder, servable.LoadOptions(enable_warmup=False))
        except ServingError as error:
            raise Unable(str(error)) from error
        return {"seconds": time.monotonic() - began, "bytes": process.memory_info().rss - before}

    def warm_up(self) -> dict[str, Any]:
        """Replay the version's warm-up records as the server does while it loads, and look at the answers."""
        process = psutil.Process()
        before, began = process.memory_info().rss, time.monotonic()
        version, looking = self._version, _Looking(self._version)
        try:
            records = warmup.replay(
                servable.Servable(version.path, version.options, version.signatures, looking), self._folder
            )
        except ServingError as error:
            raise Unable(str(error)) from error
        taken = process.memory_info().rss - before
        named = {
            info.name: f"{alias} of {name}"
            for name, definition in version.signatures.items()
            for alias, info in definition.outputs.items()
        }
        return {
            "records": records,
            "seconds": time.monotonic() - began,
            "bytes": taken,
            "signatures": sorted({each.model_spec.signature_name for each in warmup.predict_requests(self._folder)}),
            "not_finite": sorted(named.get(tensor, tensor) for tensor in looking.not_finite),
        }

    def make_warmup(self, model: str, images: list[str]) -> dict[str, Any]:
        """A warm-up file for every signature and batch size, from `images` where they fit, else from zeros.

        A signature that cannot answer its inputs gets no record, and is named with its error.
        """
        made: list[bytes] = []
        without: dict[str, str] = {}
        for name in filter(_is_offered, self._version.signatures):
            try:
                made += [records.record(model, name, feed) for feed in self._warming(name, images)]
            except (Unable, inputs.DoNotFit) as error:
                without[name] = str(error)
        return {"file": base64.b64encode(records.file_of(made)).decode(), "records": len(made), "without": without}

    def _warming(self, signature: str, images: list[str]) -> list[inputs.Feed]:
        """Requests of every batch size, as far as the signature takes it and as they do not hold up a server's load."""
        fixed = inputs.fixed_sizes(self._version.signatures[signature])
        feeds: list[inputs.Feed] = []
        for size in sorted(fixed) or records.BATCH_SIZES:
            try:
                feed = self._inputs(signature, size, images)
            except inputs.DoNotFit:
                if not feeds:
                    raise
                break
            began = time.process_time()
            self._run(signature, feed)
            if feeds and time.process_time() - began > _SLOW_S:
                break
            feeds.append(feed)
        return feeds

    def ask(self, signature: str, images: list[str], classes: int) -> dict[str, Any]:
        """What is known of each output after all of `images`, asked in batches of one size; rows of `classes` numbers.

        The key is the output's alias.
        """
        definition = self._version.signatures[signature]
        seen = {alias: facts.Seen(info, classes) for alias, info in definition.outputs.items()}
        try:
            for feed in inputs.batches(definition, [Path(image) for image in images], max(records.BATCH_SIZES)):
                count = len(next(iter(feed.values())))
                for alias, value in self._run(signature, feed).items():
                    seen[alias].add(value, count)
        except inputs.DoNotFit as error:
            raise Unable(str(error)) from error
        return {alias: each.facts() for alias, each in seen.items()}

    def mix(self, signature: str, images: list[str]) -> dict[str, Any]:
        """What mixing.mix finds of each output, with `images` and distorted ones, or with made-up values."""
        definition = self._version.signatures[signature]
        try:
            if inputs.takes_images(definition):
                stock = inputs.pictures(definition, [Path(image) for image in images], mixing.COUNT)
            else:
                stock = inputs.made_up(definition, mixing.COUNT)
        except inputs.DoNotFit as error:
            raise Unable(str(error)) from error
        found = mixing.mix(partial(self._run, signature), stock, dict(definition.outputs))
        if not inputs.takes_images(definition):
            self._try_other_numbers(signature, found)
        return found

    def _try_other_numbers(self, signature: str, found: dict[str, Any]) -> None:
        """Forgive outputs that never held a number when they hold one for numbers of another size."""
        for limits in inputs.RANGES[1:]:
            never = [alias for alias, each in found.items() if each["never_finite"]]
            if never:
                stock = inputs.made_up(self._version.signatures[signature], 1, limits)
                with contextlib.suppress(Unable):
                    answer = self._run(signature, stock.pick([0]))
                    for alias in never:
                        found[alias]["never_finite"] = not facts.any_finite(answer[alias])

    def time(self, signature: str, batch: int, images: list[str], runs: int) -> list[float]:
        """How many seconds each of `runs` runs of one batch took."""
        try:
            feed = self._inputs(signature, batch, images)
        except inputs.DoNotFit as error:
            raise Unable(str(error)) from error
        durations = []
        for _ in range(runs):
            began = time.perf_counter()
            self._run(signature, feed)
            durations.append(time.perf_counter() - began)
        return durations

    @property
    def _version(self) -> servable.Servable:
        if self._loaded is None:
            raise Unable("it is not loaded")
        return self._loaded

    def _inputs(self, signature: str, size: int, images: list[str]) -> inputs.Feed:
        key = (signature, size)
        if key not in self._prepared:
            definition = self._version.signatures[signature]
            self._prepared[key] = inputs.batch_of(definition, size, [Path(image) for image in images])
        return self._prepared[key]

    def _run(self, signature: str, feed: inputs.Feed) -> dict[str, Any]:
        definition = self._version.signatures[signature]
        aliases = list(definition.outputs)
        feeds = {definition.inputs[alias].name: value for alias, value in feed.items()}
        try:
            values = self._version.run(feeds, [definition.outputs[alias].name for alias in aliases])
        except ServingError as error:
            raise Unable(str(error)) from error
        return dict(zip(aliases, values, strict=True))

    def _ambiguities(self) -> list[str]:
        from tensorflow.core.protobuf import saved_model_pb2

        path = self._folder / "saved_model.pb"
        try:
            content = path.read_bytes() if path.is_file() else b""
            wire.require_unambiguous(content, saved_model_pb2.SavedModel.DESCRIPTOR)
        except wire.Ambiguous as error:
            return [f"its saved_model.pb can be read in two ways: {error}"]
        return []


def _first_of_each(uses: Sequence[Use]) -> list[Use]:
    """Some uses of every operation: what is left out is refused, or allowed, with those that are told."""
    told: dict[str, list[Use]] = {}
    for use in uses:
        told.setdefault(use.operation, []).append(use)
    return [use for each in told.values() for use in each[:_MOST_TOLD]]


class _Looking:
    """Runs what a version is asked, and notes which of its tensors are no numbers.

    A request of nothing but zeros counts for nothing: a version that norms its input divides zero by zero.
    """

    def __init__(self, version: servable.Servable) -> None:
        self._version = version
        self.not_finite: set[str] = set()

    def run(
        self,
        feeds: Mapping[str, facts.Array],
        fetches: Sequence[str],
        targets: Sequence[str],  # noqa: ARG002 - as Runner has it; a Servable gives none
        timeout_s: float | None,
    ) -> list[facts.Array]:
        values = self._version.run(feeds, fetches, timeout_s)
        if any(value.dtype == object or np.any(value) for value in feeds.values()):
            self.not_finite |= {
                name for name, value in zip(fetches, values, strict=True) if not facts.finite(np.asarray(value))
            }
        return values

    def close(self) -> None:
        pass


def _is_offered(signature: str) -> bool:
    return not signature.startswith("__saved_model")  # Those are the loader's own.


def _signature(definition: Any) -> dict[str, Any]:
    return {
        "inputs": {alias: _tensor(info) for alias, info in definition.inputs.items()},
        "outputs": {alias: _tensor(info) for alias, info in definition.outputs.items()},
    }


def _tensor(info: Any) -> dict[str, Any]:
    from tensorflow.core.framework import types_pb2

    shape = info.tensor_shape
    return {
        "dtype": types_pb2.DataType.Name(info.dtype) if info.dtype in types_pb2.DataType.values() else str(info.dtype),
        "any_rank": bool(shape.unknown_rank),
        "shape": [int(dim.size) for dim in shape.dim],
    }
