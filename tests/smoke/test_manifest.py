"""Does the server answer what the trained model answered before it was exported?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundle import manifest
from tests.smoke import pictures
from tests.smoke.conftest import Server

TOLERANCE = 1e-3


@pytest.fixture
def answers(
    server: Server, live_folder: Path, live_manifest: manifest.Manifest
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    folder = live_folder / manifest.FOLDER
    images = [pictures.b64((folder / example.image).read_bytes()) for example in live_manifest.examples]
    reply = server.predict({"signature_name": "serving_bytes", "instances": images})
    assert reply.status_code == 200, reply.text
    return np.array(reply.json()["predictions"])


def test_held_out_logits(
    answers: np.ndarray[tuple[int, int], np.dtype[np.float64]], live_manifest: manifest.Manifest
) -> None:
    """The held-out images get the logits that the trained model gave"""
    expected = np.array([example.logits for example in live_manifest.examples])
    np.testing.assert_allclose(answers, expected, atol=TOLERANCE)


def test_held_out_accuracy(
    answers: np.ndarray[tuple[int, int], np.dtype[np.float64]], live_manifest: manifest.Manifest
) -> None:
    """The held-out images are answered at the manifest's accuracy"""
    labels = [example.label for example in live_manifest.examples]
    accuracy = float(np.mean(answers.argmax(axis=1) == labels))
    promised = live_manifest.test_accuracy
    # A sample of n scatters around the accuracy on the whole test set; three deviations, and at least one image.
    scatter = 3 * (max(promised * (1 - promised), 1e-3) / len(labels)) ** 0.5
    assert accuracy >= promised - max(scatter, 1 / len(labels)), f"{accuracy:.3f} of {promised:.3f}"
