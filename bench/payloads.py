"""Requests, built once: what a client sends again and again."""

from __future__ import annotations

import base64
import json

from bench import pictures
from bench.cases import Case

IMAGES = "input_tensor"
ENCODED = "image_bytes_string"
PREDICT_METHOD = "/tensorflow.serving.PredictionService/Predict"


def signature(case: Case) -> str:
    """The signature that `case` asks."""
    return "serving_bytes" if case.takes_bytes else "serving_default"


def body(case: Case) -> bytes:
    """One image per request: the JSON body of a REST request, or a serialised PredictRequest."""
    return _json(case) if case.is_rest else _proto(case)


def _json(case: Case) -> bytes:
    size = case.model.subject.image_size
    if case.takes_bytes:
        instance: object = {"b64": base64.b64encode(pictures.encoded(size)).decode()}
    else:
        instance = pictures.pixels(size).astype("float32").tolist()
    return json.dumps({"signature_name": signature(case), "instances": [instance]}).encode()


def _proto(case: Case) -> bytes:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    size = case.model.subject.image_size
    request = predict_pb2.PredictRequest()
    request.model_spec.name = case.model.name
    request.model_spec.signature_name = signature(case)
    if case.takes_bytes:
        request.inputs[ENCODED].CopyFrom(tf.make_tensor_proto([pictures.encoded(size)]))
    else:
        request.inputs[IMAGES].CopyFrom(tf.make_tensor_proto(pictures.pixels(size)[None].astype("float32")))
    return bytes(request.SerializeToString())
