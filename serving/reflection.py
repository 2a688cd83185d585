"""gRPC reflection: which services there are, and what their methods take and give, for tools such as grpcurl.

The modules that protoc once made of the services' files cannot be imported beside today's protobuf. So the files are
made here, of the methods that are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from serving.grpc_pool import CallPool

# Where the real server's source has each service.
_FILES = {
    "tensorflow.serving.PredictionService": "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow.serving.ModelService": "tensorflow_serving/apis/model_service.proto",
}


def enable(server: Any, pool: CallPool, methods: Iterable[tuple[str, Any]]) -> None:
    """Describe `methods`, each a path with the class of its request, to whoever asks `server`, in threads of `pool`."""
    from grpc_reflection.v1alpha import reflection, reflection_pb2

    for service, members in groupby(methods, key=lambda method: method[0].split("/")[1]):
        _describe(service, list(members))
    servicer = reflection.ReflectionServicer((*_FILES, reflection.SERVICE_NAME))

    def answer(questions: Iterator[Any], context: Any) -> Iterator[Any]:
        yield from servicer.ServerReflectionInfo(pool.messages(questions, context), context)

    answer.experimental_thread_pool = pool  # type: ignore[attr-defined]
    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {"ServerReflectionInfo": handler}),)
    )


def _describe(service: str, methods: list[tuple[str, Any]]) -> None:
    """Add the file of a service to the pool that reflection answers from, once."""
    pool = descriptor_pool.Default()
    package, _, name = service.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name=_FILES[service], package=package, syntax="proto3")
    file.dependency.extend(sorted({request.DESCRIPTOR.file.name for _, request in methods}))
    described = file.service.add(name=name)
    for path, request in methods:
        taken = "." + request.DESCRIPTOR.full_name
        given = taken.removesuffix("Request") + "Response"  # So they are all called, in the file of the request.
        described.method.add(name=path.rpartition("/")[2], input_type=taken, output_type=given)
    pool.AddSerializedFile(file.SerializeToString())  # The same file again changes nothing.
