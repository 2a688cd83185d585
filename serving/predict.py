"""Predict: from named tensors to named tensors through one signature, in the real server's order of checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from serving import images, metrics
from serving.codec import tensorproto
from serving.errors import Code, ServingError, invalid

if TYPE_CHECKING:
    from serving.servable import Servable

Array = npt.NDArray[Any]

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY = "tensorflow/serving/classify"
PREDICT = "tensorflow/serving/predict"
REGRESS = "tensorflow/serving/regress"


@dataclass(frozen=True)
class Output:
    """One tensor of an answer."""

    dtype: int
    value: Array


def signature_of(servable: Servable, name: str) -> Any:
    """Return the SignatureDef called `name` (empty: the default one), or raise FAILED_PRECONDITION."""
    name = name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    return signature


def from_protos(
    model: str,
    servable: Servable,
    signature: Any,
    inputs: Mapping[str, Any],
    output_filter: Sequence[str],
    timeout_s: float | None,
) -> dict[str, Output]:
    """Answer a request whose inputs are TensorProtos; missing ones are filled from the signature's defaults."""
    check_method(servable, signature)
    _check_count(signature, inputs)
    tensors: dict[str, Array] = {}
    for alias in sorted(signature.inputs):
        proto = inputs[alias] if alias in inputs else _default(signature, alias, inputs)
        try:
            tensors[alias] = tensorproto.to_array(proto)
        except tensorproto.Unparsable:
            raise invalid(f"tensor parsing error: {alias}") from None
    if any(alias not in signature.inputs for alias in inputs):
        used = ",".join(sorted(alias for alias in inputs if alias in signature.inputs))
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {used}, request input: {','.join(sorted(inputs))}"
        )
    return prepare(servable, Interface(signature), tensors, output_filter).run(model, timeout_s)


@dataclass(frozen=True)
class Call:
    """One run of a signature that only has to be made."""

    servable: Servable
    feeds: dict[str, Array]
    fetches: list[str]
    declared: dict[str, int]

    def run(self, model: str, timeout_s: float | None) -> dict[str, Output]:
        """Make it, and wait for it."""
        with metrics.runtime(model, "Predict"):
            values = self.servable.run(self.feeds, self.fetches, timeout_s)
        return self.outputs(values)

    def outputs(self, values: Sequence[Array]) -> dict[str, Output]:
        """The tensors of the run by their aliases."""
        return {
            alias: Output(_dtype_of(value, declared), value)
            for (alias, declared), value in zip(self.declared.items(), values, strict=True)
        }


class Interface:
    """The tensors of a signature by their aliases, read from its message once: that takes longer than one thinks."""

    def __init__(self, signature: Any) -> None:
        self.inputs = {alias: Tensor(info.name, info.dtype) for alias, info in signature.inputs.items()}
        # The real server's order of outputs changes from run to run.
        self.outputs = {alias: Tensor(info.name, info.dtype) for alias, info in sorted(signature.outputs.items())}
        self.input_types = {alias: info.dtype for alias, info in self.inputs.items()}


@dataclass(frozen=True)
class Tensor:
    """A tensor in the graph, with its DataType number as the signature declares it."""

    name: str
    dtype: int


def prepare(
    servable: Servable, interface: Interface, tensors: Mapping[str, Array], output_filter: Sequence[str] = ()
) -> Call:
    """The run of one signature on inputs by alias, for the outputs asked for, or all."""
    outputs = _chosen_outputs(interface.outputs, output_filter) if output_filter else interface.outputs
    feeds = {interface.inputs[alias].name: value for alias, value in tensors.items()}
    for value in feeds.values():
        if value.dtype == object:
            images.check(value)
    if len(feeds) != len(tensors):
        raise _fed_twice(interface, tensors)
    fetches = [output.name for output in outputs.values()]
    if not fetches:
        raise invalid("Must specify at least one target to fetch or execute.")
    return Call(servable, feeds, fetches, {alias: output.dtype for alias, output in outputs.items()})


def check_method(servable: Servable, signature: Any) -> None:
    """Raise ServingError INTERNAL for a signature that is not to be asked for predictions, if that is checked."""
    if servable.options.check_method_names and signature.method_name not in (PREDICT, CLASSIFY, REGRESS):
        raise ServingError(
            Code.INTERNAL,
            f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}. Was:"
            f" {signature.method_name}",
        )


def _check_count(signature: Any, inputs: Mapping[str, Any]) -> None:
    sent, wanted = set(inputs), set(signature.inputs)
    if len(sent) == len(wanted) or (len(sent) < len(wanted) and len(signature.defaults)):
        return
    raise invalid(
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({_set(sent)}) != len({_set(wanted)})."
        f" Sent extra: {_set(sent - wanted)}. Missing but required: {_set(wanted - sent)}."
    )


def _set(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _default(signature: Any, alias: str, inputs: Mapping[str, Any]) -> Any:
    if alias in signature.defaults:
        return signature.defaults[alias]
    raise invalid(
        f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request and no"
        f" default value provided. Inputs expected to be in the request {_set(set(inputs))}, or default input alias"
        f" set: {','.join(sorted(signature.defaults))}"
    )


def _chosen_outputs(outputs: Mapping[str, Tensor], output_filter: Sequence[str]) -> dict[str, Tensor]:
    chosen: dict[str, Tensor] = {}
    for alias in output_filter:
        if alias not in outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set"
                f" {_set(set(outputs))}."
            )
        if alias in chosen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        chosen[alias] = outputs[alias]
    return chosen


def _fed_twice(interface: Interface, tensors: Mapping[str, Array]) -> ServingError:
    seen = set()
    for alias in tensors:
        name = interface.inputs[alias].name
        if name in seen:
            break
        seen.add(name)
    return invalid(f'Endpoint "{name}" fed more than once.')


_KINDS = {"f": {4: 1, 8: 2}, "i": {1: 6, 2: 5, 4: 3, 8: 9}, "u": {1: 4, 2: 17, 4: 22, 8: 23}}


def _dtype_of(value: Array, declared: int) -> int:
    """The type that the graph gave, which need not be the one that the signature declares."""
    kind, size = value.dtype.kind, value.dtype.itemsize
    known = _KINDS.get(kind, {}).get(size)
    if known is not None:
        return known
    return {"O": 7, "b": 10}.get(kind) or _other_dtype(value, declared)


def _other_dtype(value: Array, declared: int) -> int:
    import tensorflow as tf

    try:
        return int(tf.dtypes.as_dtype(value.dtype).as_datatype_enum)
    except TypeError:
        return declared
