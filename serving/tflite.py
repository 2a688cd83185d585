"""TensorFlow Lite models: interpreters that answer by tensor name as a session does."""

from __future__ import annotations

import os
import queue
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.errors import Code, ServingError, invalid, not_found

Array = npt.NDArray[Any]

FILE = "model.tflite"
_PREDICT = "tensorflow/serving/predict"
_DEFAULT_SIGNATURE = "serving_default"


class Interpreters:
    """As many interpreters of one model as there are CPUs; each runs one request at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._content = path.read_bytes()
            self._first = _interpreter(self._content)
        except ValueError as error:
            raise ServingError(Code.DATA_LOSS, f"Can't read {path} as a TensorFlow Lite model: {error}") from None
        self.signatures = _signatures(self._first)
        self._inputs = {detail["name"]: detail for detail in self._first.get_input_details()}
        self._outputs = {detail["name"]: detail["index"] for detail in self._first.get_output_details()}
        self._free: queue.Queue[Any] = queue.Queue()
        self._free.put(self._first)
        for _ in range((os.cpu_count() or 1) - 1):
            self._free.put(None)  # made when it is needed

    def run(
        self,
        feeds: Mapping[str, Array],
        fetches: Sequence[str],
        _targets: Sequence[str],
        timeout_s: float | None,
    ) -> list[Array]:
        """Feed, run and fetch by tensor name; raises ServingError as a session would."""
        missing = [name for name in fetches if name not in self._outputs]
        missing += [name for name in feeds if name not in self._inputs]
        if missing:
            raise not_found(f"Tensor {missing[0]} is not an input or output of the model")
        with self._borrowed(timeout_s) as interpreter:
            try:
                self._feed(interpreter, feeds)
                interpreter.invoke()
                return [_plain(interpreter.get_tensor(self._outputs[name])) for name in fetches]
            except (ValueError, RuntimeError) as error:
                raise invalid(str(error).strip()) from None

    def close(self) -> None:
        """Forget the model; the interpreters free their memory with their last request."""
        self._free = queue.Queue()

    def _feed(self, interpreter: Any, feeds: Mapping[str, Array]) -> None:
        resized = False
        for name, value in feeds.items():
            detail = self._inputs[name]
            current = interpreter.get_tensor_details(subgraph_index=0)[detail["index"]]["shape"]
            if tuple(current) != value.shape:
                interpreter.resize_tensor_input(detail["index"], value.shape)
                resized = True
        if resized:
            interpreter.allocate_tensors()
        for name, value in feeds.items():
            interpreter.set_tensor(self._inputs[name]["index"], value)

    @contextmanager
    def _borrowed(self, timeout_s: float | None) -> Iterator[Any]:
        free = self._free
        try:
            interpreter = free.get(timeout=timeout_s)
        except queue.Empty:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for an interpreter") from None
        try:
            if interpreter is None:
                interpreter = _interpreter(self._content)
            yield interpreter
        finally:
            free.put(interpreter)


def _plain(value: Any) -> Array:
    """A tensor as sessions give it: strings are objects."""
    array: Array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "S" else array


def _interpreter(content: bytes) -> Any:
    from tensorflow.lite.python.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own removal from a later TensorFlow
        interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _signatures(interpreter: Any) -> dict[str, Any]:
    """The model's signatures as SignatureDefs; without any, one made from the names of its tensors."""
    inputs = {detail["index"]: detail for detail in interpreter.get_input_details()}
    outputs = {detail["index"]: detail for detail in interpreter.get_output_details()}
    named: Mapping[str, Any] = interpreter._get_full_signature_list()
    if not named:
        aliases = [{detail["name"]: index for index, detail in side.items()} for side in (inputs, outputs)]
        named = {_DEFAULT_SIGNATURE: {"inputs": aliases[0], "outputs": aliases[1]}}
    return {
        name: _signature(signature["inputs"], inputs, signature["outputs"], outputs)
        for name, signature in named.items()
    }


def _signature(
    inputs: Mapping[str, int], fed: Mapping[int, Any], outputs: Mapping[str, int], fetched: Mapping[int, Any]
) -> Any:
    from tensorflow.core.protobuf import meta_graph_pb2

    signature = meta_graph_pb2.SignatureDef(method_name=_PREDICT)
    for alias, index in inputs.items():
        _describe(signature.inputs[alias], fed[index])
    for alias, index in outputs.items():
        _describe(signature.outputs[alias], fetched[index])
    return signature


def _describe(info: Any, detail: Mapping[str, Any]) -> None:
    import tensorflow as tf

    info.name = detail["name"]
    info.dtype = tf.dtypes.as_dtype(detail["dtype"]).as_datatype_enum
    info.tensor_shape.SetInParent()
    for size in detail["shape_signature"]:
        info.tensor_shape.dim.add(size=int(size))
