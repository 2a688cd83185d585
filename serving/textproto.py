"""Reading configuration files in the protobuf text format, with the error texts of TensorFlow's reader.

Three messages that tensorflow_model_server reads from files are not part of the published API package;
they are described here.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message

from serving import reader
from serving.errors import Code, ServingError, invalid

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

_ERRNO_CODES: Final = {
    errno.ENOENT: Code.NOT_FOUND,
    errno.EACCES: Code.PERMISSION_DENIED,
    errno.EPERM: Code.PERMISSION_DENIED,
    errno.ENOTDIR: Code.FAILED_PRECONDITION,
    errno.EISDIR: Code.FAILED_PRECONDITION,
}


def read(path: str | Path, message_class: type[M]) -> M:
    """Return the message in the text file `path`.

    Raises ServingError: NOT_FOUND and the like when it cannot be read, INVALID_ARGUMENT when it is empty or
    does not parse; where it does not parse is logged.
    """
    try:
        data = reader.read(path)
    except OSError as error:
        raise from_os_error(error, path) from None
    if not data:
        raise invalid(f"{path}; Invalid argument")
    return _parse(data, path, message_class)


def from_os_error(error: OSError, path: str | Path) -> ServingError:
    """The status that TensorFlow's file system layer gives for a failed system call on `path`."""
    code = _ERRNO_CODES.get(error.errno or 0, Code.UNKNOWN)
    return ServingError(code, f"{path}; {os.strerror(error.errno or 0)}")


def _parse(data: bytes, path: str | Path, message_class: type[M]) -> M:
    message = message_class()
    try:
        text = data.decode("utf-8")
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        place = _place(text, error)
        _log_parse_error(message, f"{place}: {_reason(error)}")
        raise invalid(f"Invalid protobuf file: '{path}'") from None
    except UnicodeDecodeError as error:
        _log_parse_error(message, f"byte {error.start} is not UTF-8")
        raise invalid(f"Invalid protobuf file: '{path}'") from None
    return message


def _log_parse_error(message: Message, detail: str) -> None:
    log.error("Error parsing text-format %s: %s", message.DESCRIPTOR.full_name, detail)


def _reason(error: text_format.ParseError) -> str:
    return re.sub(r"^\d+:\d+ : ", "", str(error))


def _place(text: str, error: text_format.ParseError) -> str:
    """Line and column; for an unknown field those of what follows its name, as protobuf's own parser counts."""
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    if "has no field named" not in str(error):
        return f"{line}:{column}"
    start = sum(len(before) for before in text.splitlines(keepends=True)[: line - 1]) + column - 1
    after = re.compile(r"[\w.\[\]/]*\s*").match(text, start)
    end = after.end() if after else start
    return f"{text.count(chr(10), 0, end) + 1}:{end - (text.rfind(chr(10), 0, end) + 1) + 1}"


_Field = descriptor_pb2.FieldDescriptorProto
_Spec = tuple[str, int, int, str]


def _field(name: str, number: int, kind: int, type_name: str = "") -> _Spec:
    return name, number, kind, type_name


def _wrapper(name: str, number: int, kind: str) -> _Spec:
    return _field(name, number, _Field.TYPE_MESSAGE, f".google.protobuf.{kind}Value")


def _message(file: descriptor_pb2.FileDescriptorProto, name: str, fields: Sequence[_Spec]) -> None:
    message = file.message_type.add(name=name)
    for field_name, number, kind, type_name in fields:
        repeated = field_name in ("allowed_batch_sizes",)
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        added = message.field.add(name=field_name, number=number, label=label)
        added.type = kind  # type: ignore[assignment]
        if type_name:
            added.type_name = type_name


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="serving/bundle_configs.proto", syntax="proto3")
    file.package = "tensorflow.serving"
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    _message(
        file,
        "BatchingParameters",
        [
            _wrapper("max_batch_size", 1, "Int64"),
            _wrapper("batch_timeout_micros", 2, "Int64"),
            _wrapper("max_enqueued_batches", 3, "Int64"),
            _wrapper("num_batch_threads", 4, "Int64"),
            _wrapper("thread_pool_name", 5, "String"),
            _field("allowed_batch_sizes", 6, _Field.TYPE_INT64),
            _field("pad_variable_length_inputs", 7, _Field.TYPE_BOOL),
            _wrapper("enable_large_batch_splitting", 8, "Bool"),
            _wrapper("max_execution_batch_size", 9, "Int64"),
        ],
    )
    _message(
        file,
        "PrometheusConfig",
        [_field("enable", 1, _Field.TYPE_BOOL), _field("path", 2, _Field.TYPE_STRING)],
    )
    prometheus = _field("prometheus_config", 1, _Field.TYPE_MESSAGE, ".tensorflow.serving.PrometheusConfig")
    _message(file, "MonitoringConfig", [prometheus])
    _message(
        file,
        "SSLConfig",
        [
            _field("server_key", 1, _Field.TYPE_STRING),
            _field("server_cert", 2, _Field.TYPE_STRING),
            _field("custom_ca", 3, _Field.TYPE_STRING),
            _field("client_verify", 4, _Field.TYPE_BOOL),
        ],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    names = ("BatchingParameters", "MonitoringConfig", "SSLConfig")
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")) for name in names
    }


_CLASSES: Final = _classes()
BatchingParameters: Final[Any] = _CLASSES["BatchingParameters"]
MonitoringConfig: Final[Any] = _CLASSES["MonitoringConfig"]
SSLConfig: Final[Any] = _CLASSES["SSLConfig"]
