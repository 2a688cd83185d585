"""Warmup records: requests that TensorFlow Serving replays while it loads a version, before the version goes live.

The first call of a graph takes seconds, because that is when it is optimised; no client should pay for that. A record
that cannot be answered fails the load, so the records are also the last check of a version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from bundle import manifest
from trainer import export, pixels

NAME = "tf_serving_warmup_requests"
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


def write(folder: Path, model_name: str, encoded: Sequence[bytes], image_size: int) -> None:
    """Write the records of every signature at every batch size into the version in `folder`.

    The images are `encoded`, taken in turn.
    """
    path = folder / manifest.FOLDER / NAME
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _requests(encoded, image_size):
            writer.write(_record(model_name, signature, inputs).SerializeToString())


def _requests(encoded: Sequence[bytes], image_size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    largest = [encoded[index % len(encoded)] for index in range(max(BATCH_SIZES))]
    images = pixels.decode_batch(tf.constant(largest), image_size).numpy()
    for size in BATCH_SIZES:
        yield export.SERVING_DEFAULT, {export.IMAGES: images[:size]}
        yield export.SERVING_BYTES, {export.ENCODED: largest[:size]}
        yield export.SERVING_LABELS, {export.ENCODED: largest[:size]}


def _record(model_name: str, signature: str, inputs: dict[str, Any]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
