"""The two documents of the REST API that are printed protos: a model's status and its metadata.

Layout and order of members are those of the real server's protobuf printer, which Python's does not share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from serving.codec.escape import encode, quote
from serving.version import VersionStatus

Json = Union[str, bool, "_Number", list["Json"], dict[str, "Json"]]


def status(versions: Iterable[VersionStatus]) -> bytes:
    """The status document of some versions, in the order given."""
    rows: list[Json] = [
        {
            "version": str(version.version),
            "state": version.state.name,
            "status": {"error_code": version.code.name, "error_message": version.message},
        }
        for version in versions
    ]
    return encode(_print({"model_version_status": rows}, 0) + "\n")


def metadata(model: str, version: int, signatures: Mapping[str, Any]) -> bytes:
    """The metadata document of a version: two printed protos, glued as the real server glues them."""
    spec: Json = {"name": model, "signature_name": "", "version": str(version)}
    defs: Json = {"signature_def": {name: _signature(signature) for name, signature in sorted(signatures.items())}}
    return encode(
        '{\n"model_spec":' + _print(spec, 0) + '\n,\n"metadata": {"signature_def": ' + _print(defs, 0) + "\n}\n}\n"
    )


def _print(value: Json, depth: int) -> str:
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict):
        if not value:
            return "{}"
        members = [f"{quote(key)}: {_print(item, depth + 1)}" for key, item in value.items()]
        return "{" + inner + ("," + inner).join(members) + outer + "}"
    if not value:
        return "[]"
    return "[" + inner + ("," + inner).join(_print(item, depth + 1) for item in value) + outer + "]"


def _signature(signature: Any) -> Json:
    return {
        "inputs": {alias: _tensor_info(info) for alias, info in sorted(signature.inputs.items())},
        "outputs": {alias: _tensor_info(info) for alias, info in sorted(signature.outputs.items())},
        "method_name": signature.method_name,
        "defaults": {alias: _generic(value) for alias, value in signature.defaults.items()},
    }


def _tensor_info(info: Any) -> Json:
    from tensorflow.core.framework import types_pb2

    printed: dict[str, Json] = {"dtype": types_pb2.DataType.Name(info.dtype)}
    if info.HasField("tensor_shape"):
        printed["tensor_shape"] = _shape(info.tensor_shape)
    if info.WhichOneof("encoding") == "name":
        printed["name"] = info.name
    elif info.WhichOneof("encoding"):
        which = info.WhichOneof("encoding")
        printed[which] = _generic(getattr(info, which))
    return printed


def _shape(shape: Any) -> Json:
    dims: list[Json] = [{"size": str(dim.size), "name": dim.name} for dim in shape.dim]
    return {"dim": dims, "unknown_rank": shape.unknown_rank}


def _generic(message: Any) -> Json:
    """Any proto, with its unset scalars printed."""
    from google.protobuf import json_format

    printed: Json = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _as_text(printed)


def _as_text(value: Any) -> Json:
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, (str, bool)):
        return value
    return _Number(str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value))


@dataclass(frozen=True)
class _Number:
    """A number of a printed proto, ready to be written."""

    text: str
