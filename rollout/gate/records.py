"""Warm-up records: requests that a server replays while it loads a version, so that no client pays for the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rollout.gate.inputs import Feed

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
"""The sizes that the trainer writes records for as well."""

# In memory, out of reach of whatever the version writes into the folder that it is checked in.
_SCRATCH = "ram://warmup"


def record(model: str, signature: str, feed: Feed) -> bytes:
    """The serialized record of one predict request."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for alias, value in feed.items():
        if value.dtype == object or np.any(value):
            request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
        else:  # One zero stands for all of them, however large the tensor is.
            request.inputs[alias].CopyFrom(tf.make_tensor_proto(0, dtype=value.dtype, shape=value.shape))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    serialized: bytes = log.SerializeToString()
    return serialized


def file_of(records: Sequence[bytes]) -> bytes:
    """The records as the content of a TFRecord file."""
    import tensorflow as tf

    if tf.io.gfile.exists(_SCRATCH):
        tf.io.gfile.remove(_SCRATCH)  # A file in memory is not cut off when it is opened again.
    with tf.io.TFRecordWriter(_SCRATCH) as writer:
        for each in records:
            writer.write(each)
    with tf.io.gfile.GFile(_SCRATCH, "rb") as file:
        content: bytes = file.read()
    return content
