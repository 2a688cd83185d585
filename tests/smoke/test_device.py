"""Is it really the GPU that answers?"""

from __future__ import annotations

import pytest

from bundle.settings import Settings
from rollout import gpu_use, stack
from rollout.engines.compose import ComposeEngine
from tests.smoke import pictures
from tests.smoke.conftest import Server


def test_device(server: Server, settings: Settings, is_local: bool) -> None:
    """ENGINE=gpu: the predictions are computed on a GPU"""
    engine = stack.running(settings) if is_local else None
    if not isinstance(engine, ComposeEngine) or engine.name != "gpu":
        pytest.skip("the engine is not gpu")
    image = pictures.b64(pictures.encoded("RGB", (32, 32), "PNG"))
    assert server.predict({"signature_name": "serving_bytes", "instances": [image]}).status_code == 200
    assert gpu_use.evidence(engine), "neither nvidia-smi nor the server's log shows a GPU at work; see: make doctor"
