"""Batching of real graphs: what may be stacked, what an answer is in company, and a server with many clients."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from bundle import manifest
from serving import threads
from serving.batching.choice import Batching
from serving.batching.stacking import Orders
from serving.errors import ServingError
from serving.servable import LoadOptions, Runner, Servable, load
from tests.engine.conftest import StartEngine
from tests.engine.engine import Engine, Kits
from tests.engine.made import ENVIRONMENT
from tests.waiting import until

PARAMETERS = (
    "max_batch_size { value: 4 } batch_timeout_micros { value: 300000 } max_enqueued_batches { value: 2 }"
    " num_batch_threads { value: 1 }"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with one version of the model with many signatures."""
    base = tmp_path_factory.mktemp("batching") / "model"
    command = [sys.executable, "-m", "tests.engine.batching_models", str(base / "1")]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return base


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(file, "png")
    return file.getvalue()


class Counting:
    """Counts runs and rows, and makes each run wait until the one who holds the gate lets it go."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.sizes: list[int] = []
        self.gate = threading.Lock()

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], *more: Any) -> list[Any]:
        self.sizes.append(max((len(value) if value.ndim else 1) for value in feeds.values()))
        with self.gate:
            pass
        return self.runner.run(feeds, fetches, *more)

    def close(self) -> None:
        self.runner.close()


class Loaded:
    """The model, loaded in this process with and without batching."""

    def __init__(self, path: Path) -> None:
        self.alone = load(path, LoadOptions())
        orders = Orders.parse("m:image")  # Its pictures are decoded in a loop, which is not followed.
        self.batched = load(path, LoadOptions(batching=Batching(dynamic=True, orders=orders)), "m", 1)
        runner: Any = self.batched._runner
        self.runner = runner
        self.counting = Counting(runner._runner)
        runner._runner = self.counting
        self.lanes = runner._lanes

    def ask(self, servable: Servable, name: str, value: Any) -> Any:
        signature = servable.signatures[name]
        feeds = {info.name: value for info in signature.inputs.values()}
        return servable.run(feeds, sorted(info.name for info in signature.outputs.values()), 30.0)

    def together(self, name: str, values: Sequence[Any]) -> list[Future[Any]]:
        """Ask for all of `values` while the signature is busy; returns when all are answered."""
        pool = ThreadPoolExecutor(len(values) + 1)
        with self.counting.gate:
            before = len(self.counting.sizes)
            futures = [pool.submit(self.ask, self.batched, name, values[0])]
            until(lambda: len(self.counting.sizes) > before)
            futures += [pool.submit(self.ask, self.batched, name, value) for value in values]
            until(lambda: self.queued() + len(self.counting.sizes) - before >= len(futures))
        pool.shutdown()
        return futures[1:]

    def queued(self) -> int:
        return sum(len(lane.queue) for lane in list(self.lanes._lanes.values()))


@pytest.fixture
def loaded(base: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.setattr(threads, "LIGHT", threads.Plan(1, 1))
    monkeypatch.setattr(threads, "HEAVY", threads.Plan(0, 1))
    return Loaded(base / "1")


def test_which_signatures_are_stacked_and_why_not(loaded: Loaded) -> None:
    decided = {each.name: (each.grounds, each.reason) for each in loaded.runner.signatures}
    assert {name for name, (grounds, _) in decided.items() if grounds == "proved"} == {
        "serving_default",
        "dense",
        "free",
    }
    assert decided["image"] == ("ordered", "")
    reasons = {
        "mixing": r"`Mean` at node \S+/Mean reduces over the rows",
        "pieces": r"`ConcatV2` at node \S+/concat joins along the rows",
        "count": "it may change state or draw at random: `AssignAddVariableOp`",
        "noise": "it may change state or draw at random: `RandomStandardNormal`",
        "scalar": "input `x` does not go by rows: its first dimension is not open",
        "total_of": "output `y` does not go by rows: its first dimension is not open",
    }
    for name, reason in reasons.items():
        assert re.fullmatch(reason, decided[name][1]), decided[name]


def test_answers_are_the_same_in_company(loaded: Loaded) -> None:
    random = np.random.default_rng(0)
    for _ in range(5):
        rows = [random.normal(size=(n % 3 + 1, 4)).astype(np.float32) for n in range(16)]
        for row, future in zip(rows, loaded.together("dense", rows), strict=True):
            for one, other in zip(future.result(), loaded.ask(loaded.alone, "dense", row), strict=True):
                assert np.allclose(one, other, rtol=1e-5, atol=1e-5)
    assert max(loaded.counting.sizes) > 16


def test_the_broken_image_of_sixteen_fails_alone(loaded: Loaded) -> None:
    images = [np.array([png(n)], object) for n in range(16)]
    for _ in range(4):
        answers = [float(future.result()[0][0]) for future in loaded.together("image", images)]
        assert answers == pytest.approx(range(16))
    assert loaded.counting.sizes[-1] == 16
    images[7] = np.array([b"\x89PNG\r\n\x1a\nbroken"], object)
    with pytest.raises(ServingError) as alone:
        loaded.ask(loaded.alone, "image", images[7])
    before = len(loaded.counting.sizes)
    for n, future in enumerate(loaded.together("image", images)):
        if n == 7:
            error = future.exception()
            assert isinstance(error, ServingError)
            assert (error.code, error.message) == (alone.value.code, alone.value.message)
        else:
            assert float(future.result()[0][0]) == pytest.approx(n)
    assert loaded.counting.sizes[before + 1] == 16


@pytest.mark.parametrize("name", ["mixing", "pieces", "total_of", "scalar", "free"])
def test_what_cannot_be_stacked_is_answered_as_alone(loaded: Loaded, name: str) -> None:
    values: list[Any] = [np.array([n], np.float32) for n in range(4)]
    if name == "scalar":
        values = [np.array(n, np.float32) for n in range(4)]
    if name == "free":
        values = [np.ones((1, n + 1), np.float32) for n in range(4)]
    for _ in range(3):
        for value, future in zip(values, loaded.together(name, values), strict=True):
            assert future.result()[0].tolist() == loaded.ask(loaded.alone, name, value)[0].tolist()


def test_a_stateful_signature_counts_each_request(loaded: Loaded) -> None:
    values = [np.zeros(1, np.float32)] * 5
    answers = [float(future.result()[0][0]) for future in loaded.together("count", values)]
    assert sorted(answers) == sorted(set(answers))
    assert float(loaded.ask(loaded.batched, "count", values[0])[0][0]) == 7.0


def test_a_server_under_load_answers_each_client_its_own(start_engine: StartEngine, base: Path) -> None:
    engine = start_engine("--model_name=m", f"--model_base_path={base}", "--stack_requests=m:image")
    url = engine.url("m:predict")
    bodies = [_image_body(png(n) if n != 7 else b"\x89PNG\r\n\x1a\nbroken") for n in range(16)]
    refused = requests.post(url, data=bodies[7], timeout=30)
    assert refused.status_code == 400

    def client(number: int) -> None:
        with requests.Session() as session:
            for _ in range(15):
                answer = session.post(url, data=bodies[number], timeout=30)
                if number == 7:
                    assert (answer.status_code, answer.text) == (400, refused.text)
                else:
                    assert answer.json()["predictions"] == pytest.approx([number])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))


def _image_body(content: bytes) -> str:
    instance = {"b64": base64.b64encode(content).decode()}
    return json.dumps({"signature_name": "image", "instances": [instance]})


@pytest.fixture(scope="module")
def explicit(base: Path, kits: Kits, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with explicit batching: model m has many signatures, model k is a kit."""
    folder = tmp_path_factory.mktemp("explicit")
    kits.publish(folder / "k", "1", 1)
    entries = (f'config {{ name: "{name}" base_path: "{path}" }} ' for name, path in (("m", base), ("k", folder / "k")))
    config, parameters = folder / "models.config", folder / "batching.config"
    config.write_text(f"model_config_list {{ {''.join(entries)} }}".replace('" }', '" model_platform: "tensorflow" }'))
    parameters.write_text(PARAMETERS)
    flags = (f"--model_config_file={config}", "--enable_batching", f"--batching_parameters_file={parameters}")
    engine = Engine(folder / "engine.log", flags)
    engine.wait_ready()
    yield engine
    engine.kill()


def post(engine: Engine, model: str, **body: Any) -> tuple[int, Any]:
    answer = requests.post(engine.url(f"{model}:predict"), data=json.dumps(body), timeout=30)
    document = answer.json()
    return answer.status_code, document.get("error", document.get("predictions", document.get("outputs")))


def post_all(engine: Engine, model: str, bodies: Sequence[Mapping[str, Any]]) -> list[tuple[int, Any]]:
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: post(engine, model, **body), bodies))


def test_explicit_batches_wait_for_company_and_full_ones_do_not(explicit: Engine) -> None:
    started = time.monotonic()
    assert post(explicit, "k", instances=[1.0]) == (200, [1.5])
    assert time.monotonic() - started > 0.3

    def at_once() -> bool:
        began = time.monotonic()
        assert post(explicit, "k", instances=[1, 2, 3, 4]) == (200, [1.5, 2.0, 2.5, 3.0])
        return time.monotonic() - began < 0.3

    until(at_once, "for one that did not wait: if they did, each would")


def test_explicit_errors(explicit: Engine) -> None:
    too_large = "Task size 5 is larger than maximum input batch size 4"
    assert post(explicit, "k", instances=[1, 2, 3, 4, 5]) == (400, too_large)
    no_rows = "Batching Run() input tensors must have at least one dimension"
    assert post(explicit, "k", inputs=1.0) == (400, no_rows)
    assert post(explicit, "m", signature_name="total_of", inputs=[1.0]) == (
        400,
        "Batched output tensor has 0 dimensions",
    )
    status, text = post(explicit, "m", signature_name="pieces", inputs=[1.0])
    assert (status, text[:45]) == (400, "Batched output tensor's 0th dimension does no")


def test_explicit_batches_of_different_shapes_fail_together(explicit: Engine) -> None:
    bodies = [{"signature_name": "free", "instances": [[1.0] * n]} for n in (2, 3)]
    for status, text in post_all(explicit, "m", bodies):
        assert status == 400
        assert "from different tasks have different shapes and padding is turned off." in text


def test_an_explicit_queue_that_is_full(explicit: Engine) -> None:
    body = {"signature_name": "slow", "instances": [1.0] * 4}
    answers = post_all(explicit, "k", [body] * 6)
    assert [status for status, _ in answers].count(200) in (2, 3)  # the third, if the first was taken before it came
    refusals = {text for status, text in answers if status == 503}
    assert refusals == {
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and"
        " max_enqueued_batches is 2"
    }


def test_a_start_with_allowed_sizes_that_do_not_fit(start_engine: StartEngine, base: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4")
    flags = ("--enable_batching", f"--batching_parameters_file={parameters}", "--max_num_load_retries=0")
    engine = start_engine(f"--model_base_path={base}", *flags, wait=False)
    assert engine.exit_status() == 255
    assert (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: default version: 1}"
        " due to error: INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry was"
        " 4; expected 8}, }" in engine.log
    )


def test_a_manifest_that_lies_is_found_out_and_stacking_ends(
    start_engine: StartEngine, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base / "1", tmp_path / "m" / "1")
    declare(tmp_path / "m" / "1", "mixing")
    monitoring = Path(__file__).parents[2] / "serving" / "monitoring.config"
    flags = ("--model_name=m", f"--model_base_path={tmp_path / 'm'}", f"--monitoring_config_file={monitoring}")
    engine = start_engine(*flags, "--stacking_audit_every=1")
    assert "signature mixing: stacked: its manifest says that rows are apart" in engine.log
    state = 'bundle_stacking{model="m",version="1",signature="mixing",grounds="%s"'
    assert state % "declared" in page(engine)
    bodies = [{"signature_name": "mixing", "instances": [float(n)]} for n in range(8)]

    def found_out() -> bool:
        post_all(engine, "m", bodies)
        return state % "none" in page(engine)

    until(found_out, "for the audit to find a difference")
    assert 'bundle_stacking_differences_total{model="m",version="1",signature="mixing"} 1' in page(engine)
    assert "requests are run one by one from now on: an audit found another answer" in engine.log
    for _ in range(5):
        assert post_all(engine, "m", bodies) == [(200, [0.0])] * 8


def page(engine: Engine) -> str:
    return requests.get(engine.url("").replace("/v1/models/", "/monitoring/prometheus/metrics"), timeout=30).text


def declare(version: Path, *names: str) -> None:
    dataset = manifest.Dataset("none", "", 0, 0, 0)
    document = manifest.Manifest("2.19.1", "None", (), 8, dataset, {}, 0.0, (), "", (), row_wise=names)
    manifest.write(version, document)
