"""Replaying the requests that a SavedModel brings along, so that the first real one does not pay for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from serving import inference, metrics, predict, sandbox
from serving.codec.escape import decode
from serving.errors import Code, ServingError, invalid

if TYPE_CHECKING:
    from serving.servable import Servable

log = logging.getLogger(__name__)

FILE = Path("assets.extra", "tf_serving_warmup_requests")
_MOST_RECORDS = 1000
_FRAME_BYTES = 12


def replay(servable: Servable, path: Path, iterations: int = 1) -> int:
    """Run every record of the version's warm-up file; returns how many there were.

    Each is run `iterations` times, at least once. Raises ServingError: what a request fails with, or what is
    wrong with the file.
    """
    file = path / FILE
    if not file.exists():
        return 0
    started = time.monotonic()
    status = Code.OK
    try:
        return _replay(servable, file, max(1, iterations))
    except ServingError as error:
        status = error.code
        raise
    finally:
        metrics.warmed_up(str(path), time.monotonic() - started, status.name)


def predict_requests(path: Path) -> Iterator[Any]:
    """The PredictRequests among the records of a version, in their order; raises ServingError for a broken file."""
    from tensorflow_serving.apis import prediction_log_pb2

    file = path / FILE
    for record in _records(file) if file.exists() else ():
        entry = prediction_log_pb2.PredictionLog()
        try:
            entry.ParseFromString(record)
        except DecodeError:
            continue
        if entry.WhichOneof("log_type") == "predict_log":
            yield entry.predict_log.request


def _replay(servable: Servable, file: Path, iterations: int) -> int:
    from tensorflow_serving.apis import prediction_log_pb2

    count = 0
    refusals: list[ServingError] = []
    for record in _records(file):
        if count >= _MOST_RECORDS:
            raise invalid(f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at {file}")
        entry = prediction_log_pb2.PredictionLog()
        try:
            entry.ParseFromString(record)
        except DecodeError:
            raise invalid(f"Failed to parse warmup record: {decode(record)} from {file}") from None
        try:
            for _ in range(iterations):
                _run(servable, entry)
        except ServingError as error:
            if not sandbox.denied(error):
                raise
            refusals.append(error)
        count += 1
    if refusals:
        # The real server, which shuts nothing in, serves such a version. Its clients are told by their answers.
        text = "%d of %d warm-up records of %s ask for what the sandbox forbids, and are answered: %s"
        log.error(text, len(refusals), count, file, refusals[0])
    log.info("Replayed %d warm-up records of %s", count, file)
    return count


def _run(servable: Servable, entry: Any) -> None:
    kind = entry.WhichOneof("log_type")
    if kind is None:
        return
    if kind not in ("predict_log", "classify_log", "regress_log", "multi_inference_log"):
        number = entry.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    request = getattr(entry, kind).request
    if kind == "multi_inference_log":
        inference.multi(servable, request.tasks, request.input, None)
        return
    spec = request.model_spec
    if kind == "predict_log":
        signature = predict.signature_of(servable, spec.signature_name)
        predict.from_protos(spec.name, servable, signature, request.inputs, request.output_filter, None)
    elif kind == "classify_log":
        inference.classify(spec.name, servable, spec.signature_name, request.input, None)
    else:
        inference.regress(spec.name, servable, spec.signature_name, request.input, None)


def _records(file: Path) -> Iterator[bytes]:
    """The records of a TFRecord file; one that is too short to hold any has none."""
    import tensorflow as tf
    from tensorflow.python.lib.io import _pywrap_record_io

    if file.stat().st_size < _FRAME_BYTES:
        return
    try:
        # What the deprecated tf_record_iterator wraps; its successor needs an eager context.
        yield from _pywrap_record_io.RecordIterator(str(file), "")
    except tf.errors.DataLossError as error:
        hint = "Please verify your warmup data is in TFRecord format."
        raise ServingError(Code.DATA_LOSS, f"{error.message}. {hint}") from None
