"""The engine stays a multiple of the baseline's speed, measured in turn on the same model in one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cases, measure, savedmodels
from bench.cases import Case
from bench.engines import start
from bench.measure import Pace

PACE = Pace(rounds=3, slice_s=1, generator="auto")
FLOORS = [("lenet-28-plain", 3.0), ("resnet-32-plain", 1.8)]
"""On a quiet machine they were 4.1 and 3.4."""

ATTEMPTS = 4
"""A machine that has something else to do for some seconds is no reason to fail."""


@pytest.mark.alone
@pytest.mark.parametrize(("name", "floor"), FLOORS)
def test_sixteen_clients_get_a_multiple_of_what_fastapi_gives(name: str, floor: float, tmp_path: Path) -> None:
    model = cases.model_named(name)
    savedmodels.prepare([model])
    with measure.running([start.model_server, start.fastapi], model, tmp_path) as engines:
        measure.check_same_answers(engines, model)
        seen = []
        for _ in range(ATTEMPTS):
            result = measure.interleaved(engines, Case(model, cases.REST_BYTES, 16), PACE)
            assert result is not None
            assert all(sample.failed == 0 for samples in result.samples.values() for sample in samples)
            ratio = result.ratio("fastapi")
            assert ratio is not None
            if ratio.median >= floor:
                return
            seen.append(round(ratio.median, 2))
    pytest.fail(f"model-server has {seen} times the rate of FastAPI on {model.name}, expected {floor}")
