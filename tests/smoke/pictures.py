"""Small pictures and tensors that the smoke tests send."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2


def encoded(mode: str, size: tuple[int, int], kind: str) -> bytes:
    """A gradient as an encoded image."""
    height, width = size[1], size[0]
    ramp = np.linspace(0, 255, height * width, dtype=np.uint8).reshape(height, width)
    buffer = io.BytesIO()
    Image.fromarray(ramp).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def b64(image: bytes) -> dict[str, str]:
    """An encoded image as TensorFlow Serving's JSON wants it."""
    return {"b64": base64.b64encode(image).decode("ascii")}


def predict_request(model: str, signature: str) -> Any:
    """An empty PredictRequest for a signature."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    return request


def put_strings(request: Any, alias: str, values: list[bytes]) -> Any:
    """Fill an input with a vector of strings."""
    tensor = request.inputs[alias]
    tensor.dtype = types_pb2.DT_STRING
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.string_val.extend(values)
    return request


def put_floats(request: Any, alias: str, values: np.ndarray[Any, Any]) -> Any:
    """Fill an input with a float tensor."""
    tensor = request.inputs[alias]
    tensor.dtype = types_pb2.DT_FLOAT
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = values.astype("<f4").tobytes()
    return request


def floats(tensor: Any) -> np.ndarray[Any, Any]:
    """A float TensorProto of a reply as an array."""
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, "<f4").reshape(shape)
    return np.array(tensor.float_val, np.float32).reshape(shape)
