"""The baseline: a SavedModel behind FastAPI, as most people write it.

It speaks enough of TensorFlow Serving's REST API to be asked the same requests. MODEL_PATH is the version's folder.
"""

from __future__ import annotations

import base64
import os
from typing import Any

import tensorflow as tf
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = tf.saved_model.load(os.environ["MODEL_PATH"])


class PredictRequest(BaseModel):
    """The row format of TensorFlow Serving's REST API."""

    signature_name: str = "serving_default"
    instances: list[Any]


class PredictResponse(BaseModel):
    """Logits, a row per instance."""

    predictions: list[list[float]]


@app.get("/v1/models/{name}")
def status(name: str) -> dict[str, str]:
    """Say that `name` can be asked."""
    return {"model": name, "state": "AVAILABLE"}


@app.post("/v1/models/{name}:predict")
def predict(name: str, request: PredictRequest) -> PredictResponse:
    """Answer every instance of `request`."""
    del name
    if request.signature_name == "serving_bytes":
        contents = [base64.b64decode(instance["b64"]) for instance in request.instances]
        outputs = model.signatures["serving_bytes"](image_bytes_string=tf.constant(contents))
    else:
        images = tf.constant(request.instances, dtype=tf.float32)
        outputs = model.signatures["serving_default"](input_tensor=images)
    return PredictResponse(predictions=outputs["output_0"].numpy().tolist())
