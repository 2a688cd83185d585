"""Bad input is answered with 4xx, and the server goes on."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
import requests

from tests.smoke import pictures
from tests.smoke.conftest import TIMEOUT_S, Server

BAD_BODIES: dict[str, Any] = {
    "not JSON": "{",
    "empty": "",
    "no instances": "{}",
    "text for an image": '{"instances": ["x"]}',
    "unknown signature": '{"signature_name": "none_such", "instances": [1]}',
    "bytes that are no image": '{"signature_name": "serving_bytes", "instances": [{"b64": "bm8gaW1hZ2U="}]}',
    "ragged list": '{"instances": [[[[1, 2, 3]]], [[[1, 2]]]]}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_bad_body(server: Server, body: str) -> None:
    """REST: broken bodies get 4xx with an error text"""
    reply = server.rest("POST", f"/v1/models/{server.model}:predict", data=body)
    assert 400 <= reply.status_code < 500, reply.text
    assert "error" in reply.json()


def test_unknown_model(server: Server) -> None:
    """REST: an unknown model gets 404"""
    assert server.rest("GET", "/v1/models/none_such_model").status_code == requests.codes.not_found


def test_grpc_bad_image(server: Server, predictions: Any) -> None:
    """gRPC: bytes that are no image get INVALID_ARGUMENT"""
    request = pictures.predict_request(server.model, "serving_bytes")
    pictures.put_strings(request, "image_bytes_string", [b"no image"])
    with pytest.raises(grpc.RpcError) as caught:
        predictions.Predict(request, timeout=TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_alive_after(server: Server) -> None:
    """The server still answers after the bad input"""
    image = pictures.b64(pictures.encoded("RGB", (32, 32), "PNG"))
    assert server.predict({"signature_name": "serving_bytes", "instances": [image]}).status_code == 200
