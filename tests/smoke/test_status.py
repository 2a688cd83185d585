"""Is the model there, and does it offer what clients rely on?"""

from __future__ import annotations

from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tests.smoke.conftest import Server

SIGNATURES = {"serving_default": "input_tensor", "serving_bytes": "image_bytes_string"}


def test_rest_status(server: Server) -> None:
    """REST: a version is AVAILABLE"""
    assert server.available(), "no version is AVAILABLE"


def test_rest_metadata(server: Server) -> None:
    """REST: the metadata lists both signatures with their inputs and output_0"""
    document = server.rest("GET", f"/v1/models/{server.model}/metadata").json()
    offered = document["metadata"]["signature_def"]["signature_def"]
    for signature, alias in SIGNATURES.items():
        assert alias in offered[signature]["inputs"]
        assert "output_0" in offered[signature]["outputs"]


def test_grpc_status(server: Server, model_service: Any) -> None:
    """gRPC: GetModelStatus says AVAILABLE, too"""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = server.model
    reply = server.grpc(model_service.GetModelStatus, request)
    states = {entry.version: entry.state for entry in reply.model_version_status}
    assert get_model_status_pb2.ModelVersionStatus.AVAILABLE in states.values(), states


def test_grpc_metadata(server: Server, predictions: Any) -> None:
    """gRPC: GetModelMetadata names the live version and both signatures"""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = server.model
    reply = server.grpc(predictions.GetModelMetadata, request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    assert set(SIGNATURES) <= set(signatures.signature_def)
    assert reply.model_spec.version.value == server.available()[0]
