"""Classify, regress and MultiInference: serialized tf.Examples in, classes or values out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from google.protobuf import text_format

from serving import metrics
from serving.codec import examples
from serving.errors import Code, ServingError, invalid
from serving.predict import CLASSIFY, DEFAULT_SIGNATURE, REGRESS

if TYPE_CHECKING:
    from serving.servable import Servable

Array = npt.NDArray[Any]
Classes = list[list[tuple[bytes, float]]]
"""For each example its (label, score) pairs; a missing label is empty, a missing score 0."""

_WHOLE_FLOAT = re.compile(r"(?m)^(\s*\w+: -?\d+)\.0$")


@dataclass(frozen=True)
class Plan:
    """What of a signature is fed and fetched."""

    feed: str
    fetches: tuple[str, ...]


def classify(model: str, servable: Servable, signature_name: str, request: Any, timeout_s: float | None) -> Classes:
    """Answer a request for what `examples.serialized` takes; raises ServingError in the real server's words."""
    signature = _signature(servable, signature_name)
    plan = _plan_classify(servable, signature)
    count, tensors = _run(model, "Classify", servable, plan, request, timeout_s)
    return _read_classes(signature, count, tensors)


def regress(model: str, servable: Servable, signature_name: str, request: Any, timeout_s: float | None) -> Array:
    """Answer a request for what `examples.serialized` takes with one float32 per example."""
    signature = _signature(servable, signature_name)
    plan = _plan_regress(servable, signature)
    count, tensors = _run(model, "Regress", servable, plan, request, timeout_s)
    return _read_values(count, tensors[plan.fetches[0]])


def multi(
    servable: Servable, tasks: Sequence[Any], request: Any, timeout_s: float | None
) -> list[tuple[str, Classes | Array]]:
    """Answer a MultiInference request with one run: signature name and result of each task, in their order."""
    plans = _plan_tasks(servable, tasks)
    feeds = dict.fromkeys(plan.feed for _, _, plan in plans)
    fetches = dict.fromkeys(name for _, _, plan in plans for name in plan.fetches)
    batch = examples.serialized(request)
    values = servable.run(dict.fromkeys(feeds, batch), list(fetches), timeout_s)
    tensors = dict(zip(fetches, values, strict=True))
    metrics.examples(tasks[0].model_spec.name, len(batch))
    results: list[tuple[str, Classes | Array]] = []
    for name, method, plan in plans:
        if method == CLASSIFY:
            results.append((name, _read_classes(servable.signatures[name], len(batch), tensors)))
        else:
            results.append((name, _read_values(len(batch), tensors[plan.fetches[0]])))
    return results


def _signature(servable: Servable, name: str) -> Any:
    name = name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    return signature


def _plan_tasks(servable: Servable, tasks: Sequence[Any]) -> list[tuple[str, str, Plan]]:
    model, plans = "", []
    planners: dict[str, Callable[[Servable, Any], Plan]] = {CLASSIFY: _plan_classify, REGRESS: _plan_regress}
    seen: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if model and model != task.model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        model = task.model_spec.name
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in servable.signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
        planner = planners.get(task.method_name)
        if planner is None:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        plans.append((name, task.method_name, planner(servable, servable.signatures[name])))
    return plans


def _plan_classify(servable: Servable, signature: Any) -> Plan:
    _check_method(servable, signature, CLASSIFY, "classification")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    feed = _input(signature, "classification")
    fetches = [signature.outputs[alias].name for alias in ("classes", "scores") if alias in signature.outputs]
    if not fetches:
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature'
            f" was: {_dump(signature)}"
        )
    return Plan(feed, tuple(fetches))


def _plan_regress(servable: Servable, signature: Any) -> Plan:
    _check_method(servable, signature, REGRESS, "regression")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    feed = _input(signature, "regression")
    if "outputs" not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {_dump(signature)}")
    return Plan(feed, (signature.outputs["outputs"].name,))


def _check_method(servable: Servable, signature: Any, wanted: str, kind: str) -> None:
    if servable.options.check_method_names and signature.method_name != wanted:
        raise invalid(f"Expected {kind} signature method_name to be {wanted}. Was: {signature.method_name}")


def _input(signature: Any, kind: str) -> str:
    if "inputs" not in signature.inputs:
        raise invalid(f"No {kind} inputs found in SignatureDef: {_dump(signature)}")
    return str(signature.inputs["inputs"].name)


def _dump(signature: Any) -> str:
    # C++ prints whole floats without a point; nothing else that ends a line looks like one.
    return _WHOLE_FLOAT.sub(r"\1", text_format.MessageToString(signature))


def _run(
    model: str, api: str, servable: Servable, plan: Plan, request: Any, timeout_s: float | None
) -> tuple[int, Mapping[str, Array]]:
    batch = examples.serialized(request)
    with metrics.runtime(model, api):
        values = servable.run({plan.feed: batch}, plan.fetches, timeout_s)
    return len(batch), dict(zip(plan.fetches, values, strict=True))


def _read_classes(signature: Any, count: int, tensors: Mapping[str, Array]) -> Classes:
    classes = _class_tensor(signature, "classes", "O", "DT_STRING", count, tensors)
    scores = _class_tensor(signature, "scores", "f4", "DT_FLOAT", count, tensors)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    present = classes if classes is not None else scores
    width = 0 if present is None else present.shape[1]
    labels = classes.tolist() if classes is not None else [[b""] * width] * count
    values = scores.tolist() if scores is not None else [[0.0] * width] * count
    return [list(zip(*row, strict=True)) for row in zip(labels, values, strict=True)]


def _class_tensor(
    signature: Any, alias: str, kind: str, wanted: str, count: int, tensors: Mapping[str, Array]
) -> Array | None:
    if alias not in signature.outputs:
        return None
    value = tensors[signature.outputs[alias].name]
    if value.ndim != 2:
        raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(value)}")
    if value.dtype != np.dtype(kind):
        raise invalid(f"Expected {alias} Tensor of {wanted}. Got: {_type_name(value)}")
    if value.shape[0] != count:
        raise invalid(f"Expected {alias} output batch size of {count}. Got: {value.shape[0]}")
    return value


def _read_values(count: int, value: Array) -> Array:
    if not (value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(value)}"
        )
    if value.shape[0] != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {value.shape[0]}")
    if value.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type_name(value)}")
    return value.reshape(-1)


def _shape(value: Array) -> str:
    return "[" + ",".join(map(str, value.shape)) + "]"


def _type_name(value: Array) -> str:
    if value.dtype == object:
        return "DT_STRING"
    import tensorflow as tf

    return "DT_" + str(tf.dtypes.as_dtype(value.dtype).name).upper().replace("FLOAT32", "FLOAT").replace(
        "FLOAT64", "DOUBLE"
    ).replace("FLOAT16", "HALF")
