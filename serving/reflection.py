"""gRPC reflection: which services there are, and what their methods take and give, for tools such as grpcurl.

The modules that protoc once made of the services' files cannot be imported beside today's protobuf. So the files are
made here, of the methods that are served.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

# Where the real server's source has each service.
_FILES = {
    "tensorflow.serving.PredictionService": "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow.serving.ModelService": "tensorflow_serving/apis/model_service.proto",
}


def enable(server: Any, methods: Iterable[tuple[str, Any]]) -> None:
    """Describe `methods`, each a path with the class of its request, to whoever asks `server`."""
    from grpc_reflection.v1alpha import reflection

    for service, members in groupby(methods, key=lambda method: method[0].split("/")[1]):
        _describe(service, list(members))
    reflection.enable_server_reflection((*_FILES, reflection.SERVICE_NAME), server)


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
