"""Both signatures over both protocols, one image and several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.smoke import pictures
from tests.smoke.conftest import Server

FORMATS = [("L", "PNG"), ("RGB", "JPEG"), ("RGBA", "PNG"), ("RGB", "BMP"), ("P", "GIF")]
TOLERANCE = 1e-3


def _images() -> list[bytes]:
    return [pictures.encoded(mode, (20 + 5 * n, 31), kind) for n, (mode, kind) in enumerate(FORMATS)]


def test_rest_bytes_batch(server: Server) -> None:
    """REST: one request with PNG, JPEG, BMP and GIF of five sizes gets five answers"""
    body = {"signature_name": "serving_bytes", "instances": [pictures.b64(image) for image in _images()]}
    reply = server.predict(body)
    assert reply.status_code == 200, reply.text
    logits = np.array(reply.json()["predictions"])
    assert logits.shape[0] == len(FORMATS)
    assert np.isfinite(logits).all()


def test_grpc_bytes_batch_is_rest(server: Server, predictions: Any) -> None:
    """gRPC: the same batch gets the same answers as over REST"""
    request = pictures.predict_request(server.model, "serving_bytes")
    pictures.put_strings(request, "image_bytes_string", _images())
    over_grpc = pictures.floats(server.grpc(predictions.Predict, request).outputs["output_0"])
    body = {"signature_name": "serving_bytes", "instances": [pictures.b64(image) for image in _images()]}
    over_rest = np.array(server.predict(body).json()["predictions"], np.float32)
    np.testing.assert_allclose(over_grpc, over_rest, atol=TOLERANCE)


def test_one_by_one_is_batch(server: Server) -> None:
    """REST: an image gets the same answer alone and in a batch"""
    images = [pictures.b64(image) for image in _images()]
    together = server.predict({"signature_name": "serving_bytes", "instances": images}).json()["predictions"]
    for image, expected in zip(images, together, strict=True):
        alone = server.predict({"signature_name": "serving_bytes", "instances": [image]}).json()["predictions"]
        np.testing.assert_allclose(alone[0], expected, atol=TOLERANCE)


@pytest.mark.parametrize("size", [(32, 32), (19, 45)], ids=["32x32", "19x45"])
def test_floats_over_both(server: Server, predictions: Any, size: tuple[int, int]) -> None:
    """Floats of any height and width: REST and gRPC agree"""
    images = np.random.default_rng(1).uniform(0, 255, (3, *size, 3)).astype(np.float32)
    reply = server.predict({"instances": images.tolist()})
    assert reply.status_code == 200, reply.text
    request = pictures.put_floats(pictures.predict_request(server.model, "serving_default"), "input_tensor", images)
    over_grpc = pictures.floats(server.grpc(predictions.Predict, request).outputs["output_0"])
    np.testing.assert_allclose(reply.json()["predictions"], over_grpc, atol=TOLERANCE)


def test_labels(server: Server) -> None:
    """REST: serving_labels gives a label and probabilities that sum to one"""
    reply = server.predict({"signature_name": "serving_labels", "instances": [pictures.b64(_images()[0])]})
    if reply.status_code == 400 and "not found in signature def" in reply.text:
        pytest.skip("the model has no signature serving_labels: it was made elsewhere")
    answer = reply.json()["predictions"][0]
    assert set(answer) == {"label", "probability", "probabilities"}
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=TOLERANCE)
    assert answer["probability"] == pytest.approx(max(answer["probabilities"]))
