"""Predictions that are sent for as long as something else happens."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bundle import manifest
from tests.e2e.conftest import Bundle
from tests.e2e.test_rollout import Traffic

LEAST = 20


@contextmanager
def traffic(serving: Bundle) -> Iterator[Traffic]:
    """Held-out images, one request after the other; fails unless there were some and all were answered."""
    made = Traffic(serving.url, held_out(serving, 4))
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stopping.set()
        thread.join()
    assert len(made.answers) >= LEAST
    assert not made.failures, made.failures[:3]


def held_out(serving: Bundle, count: int) -> list[dict[str, str]]:
    """Held-out images of the live version, encoded as an instance of a request each."""
    folder = serving.base_path / str(max(serving.available()))
    document = manifest.read(folder)
    assert document is not None
    images = [(folder / manifest.FOLDER / example.image).read_bytes() for example in document.examples[:count]]
    return [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
