"""Batching as tensorflow_model_server does it: sizes, limits, errors, padding, time limits, metrics."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import exposition, metrics
from serving.batching import choice, parameters
from serving.batching.explicit import ExplicitRunner
from serving.batching.parameters import Parameters
from serving.batching.scheduler import Scheduler
from serving.batching.stacking import Subject
from serving.errors import Code, ServingError
from serving.flags import Options
from tests.unit.serving.runners import GatedRunner, signature_of
from tests.waiting import until

SHAPES = (
    "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off. Set"
    " pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions starting"
    " with the first dim."
)
pool = ThreadPoolExecutor(50)


def batched(runner: GatedRunner, signature: Any = None, threads: int = 1, **given: Any) -> ExplicitRunner:
    given.setdefault("max_execution_batch_size", given.get("max_batch_size", 1000))
    signatures = {"s": signature or signature_of("x:0", "y:0")}
    return ExplicitRunner(runner, signatures, Parameters(**given), Scheduler(threads, "test_threads"))


def ask(runner: ExplicitRunner, value: Any, timeout_s: float | None = None) -> Any:
    return runner.run({"x:0": np.asarray(value, np.float32)}, ["y:0"], (), timeout_s)[0].tolist()


def ask_all(runner: ExplicitRunner, *values: Any) -> list[Future[Any]]:
    """Ask for all of them at once; the first is enqueued before the others."""
    queue = next(iter(runner._queues.values()))
    futures = [pool.submit(ask, runner, values[0])]
    until(lambda: any(batch.tasks for batch in queue._batches))
    return futures + [pool.submit(ask, runner, value) for value in values[1:]]


def refusal(runner: ExplicitRunner, value: Any) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        ask(runner, value)
    return caught.value.code, caught.value.message


def test_a_batch_closes_when_it_is_full() -> None:
    runner = GatedRunner()
    futures = ask_all(batched(runner, max_batch_size=4, batch_timeout_s=30.0), [1.0, 2.0], [3.0, 4.0])
    assert [future.result(10) for future in futures] == [[2.0, 4.0], [6.0, 8.0]]
    assert runner.sizes == [4]


def test_a_batch_closes_when_its_time_is_over() -> None:
    runner = GatedRunner()
    assert ask(batched(runner, max_batch_size=4, batch_timeout_s=0.05), [1.0]) == [2.0]


def test_too_large_a_request() -> None:
    expected = (Code.INVALID_ARGUMENT, "Task size 5 is larger than maximum input batch size 4")
    assert refusal(batched(GatedRunner(), max_batch_size=4), np.zeros(5)) == expected
    splitting = batched(GatedRunner(), max_batch_size=4, split_large_batches=True, max_execution_batch_size=2)
    assert refusal(splitting, np.zeros(5)) == expected


def test_a_large_request_is_split_and_joined() -> None:
    runner = GatedRunner()
    splitting = batched(runner, max_batch_size=8, split_large_batches=True, max_execution_batch_size=3)
    assert ask(splitting, range(8)) == [2.0 * n for n in range(8)]
    assert runner.sizes == [3, 3, 2]


def test_requests_without_rows() -> None:
    runner = batched(GatedRunner())
    assert refusal(runner, 1.0) == (
        Code.INVALID_ARGUMENT,
        "Batching Run() input tensors must have at least one dimension",
    )


def test_requests_with_different_numbers_of_rows() -> None:
    signature = signature_of("x:0", "y:0")
    signature.inputs["more"].name = "z:0"
    runner = batched(GatedRunner(), signature)
    with pytest.raises(ServingError, match=r"Batching Run\(\) input tensors must have equal 0th-dimension size$"):
        runner.run({"x:0": np.zeros(2), "z:0": np.zeros(3)}, ["y:0"], (), None)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda x: x.sum(), "Batched output tensor has 0 dimensions"),
        (
            lambda x: np.zeros(9),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input"
            " tensors",
        ),
    ],
)
def test_outputs_that_do_not_follow_the_rows(work: Any, message: str) -> None:
    assert refusal(batched(GatedRunner(work)), [1.0]) == (Code.FAILED_PRECONDITION, message)


def test_different_shapes_fail_together() -> None:
    runner = batched(GatedRunner(), max_batch_size=2, batch_timeout_s=30.0)
    for future in ask_all(runner, [[1.0, 2.0]], [[1.0, 2.0, 3.0]]):
        error = future.exception(10)
        assert isinstance(error, ServingError)
        assert (error.code, error.message) == (Code.FAILED_PRECONDITION, SHAPES)


def test_padding_repeats_the_first_element_and_is_not_cropped() -> None:
    runner = batched(GatedRunner(), max_batch_size=2, batch_timeout_s=30.0, pad_variable_length_inputs=True)
    futures = ask_all(runner, [[[1.0, 2.0], [3.0, 4.0]]], [np.arange(5.0, 14.0).reshape(3, 3)])
    assert futures[0].result(10) == [[[2.0, 4.0, 2.0], [6.0, 8.0, 2.0], [2.0, 2.0, 2.0]]]
    assert futures[1].result(10) == [(2 * np.arange(5.0, 14.0).reshape(3, 3)).tolist()]


@pytest.mark.parametrize(("allowed", "size"), [((2, 4), 2), ((1, 3, 4), 3), ((4,), 4)])
def test_batches_are_rounded_up(allowed: tuple[int, ...], size: int) -> None:
    runner = GatedRunner()
    assert ask(batched(runner, max_batch_size=4, allowed_batch_sizes=allowed), [1.0, 2.0]) == [2.0, 4.0]
    assert runner.sizes == [size]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"max_batch_size": 8, "allowed_batch_sizes": (4,)},
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            {"max_batch_size": 4, "allowed_batch_sizes": (2, 8)},
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 4",
        ),
        (
            {"max_batch_size": 2, "allowed_batch_sizes": (4, 2)},
            "allowed_batch_sizes must be positive and increasing; they are [4, 2]",
        ),
    ],
)
def test_allowed_sizes_that_contradict_the_limits(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError) as caught:
        batched(GatedRunner(), **given)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


def test_a_full_queue() -> None:
    runner = GatedRunner()
    runner.close_gate()
    explicit = batched(runner, max_batch_size=4, batch_timeout_s=0.3, max_enqueued_batches=2)
    futures = [pool.submit(ask, explicit, np.zeros(4))]
    until(lambda: runner.started == 1)
    queue = next(iter(explicit._queues.values()))
    for expected in (1, 2):
        futures.append(pool.submit(ask, explicit, np.zeros(4)))
        until(lambda expected=expected: sum(len(b.tasks) for b in queue._batches) == expected)  # type: ignore[misc]
    assert refusal(explicit, np.zeros(4)) == (
        Code.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and"
        " max_enqueued_batches is 2",
    )
    runner.open_gate()
    assert [future.result(10) for future in futures] == [[0.0] * 4] * 3


def test_a_request_whose_time_is_over_while_it_is_queued() -> None:
    runner = GatedRunner()
    explicit = batched(runner, batch_timeout_s=0.05)
    with pytest.raises(ServingError) as caught:
        ask(explicit, [1.0], timeout_s=0.01)
    assert (caught.value.code, caught.value.message) == (
        Code.RESOURCE_EXHAUSTED,
        "Run() timeout exceeded while waiting in batching queue",
    )
    assert runner.started == 0


def test_a_batch_has_the_longest_time_limit_of_its_members() -> None:
    runner = GatedRunner()
    explicit = batched(runner, max_batch_size=2, batch_timeout_s=30.0)
    futures = [pool.submit(ask, explicit, [1.0], 20.0), pool.submit(ask, explicit, [1.0], 9.0)]
    assert [future.result(10) for future in futures] == [[2.0], [2.0]]
    assert runner.timeouts[0] == pytest.approx(20.0, abs=1.0)


def test_what_belongs_to_no_signature_runs_unbatched() -> None:
    runner = GatedRunner()
    explicit = batched(runner, max_batch_size=1)
    assert explicit.run({"other:0": np.zeros(3)}, ["y:0"], (), None)[0].tolist() == [0.0] * 3


def test_queues_end_with_their_version() -> None:
    runner = GatedRunner()
    explicit = batched(runner)
    explicit.close()
    assert runner.closed
    assert not explicit._scheduler._queues


def test_metrics_of_a_padded_batch() -> None:
    before = samples()
    ask(batched(GatedRunner(), max_batch_size=4, allowed_batch_sizes=(1, 3, 4)), [1.0, 2.0])
    grown = {name: value - before.get(name, 0.0) for name, value in samples().items()}
    assert grown["input_batch_size_sum{}"] == pytest.approx(2)
    assert grown["processed_batch_size_sum{}"] == pytest.approx(3)
    assert grown['padding_size_sum{execution_batch_size="3"}'] == pytest.approx(1)
    assert grown["wrapped_run_count{}"] == 1
    assert grown['queuing_latency_count{thread_pool_name="test_threads"}'] == 1


def samples() -> dict[str, float]:
    prefix = ":tensorflow:serving:batching_session:"
    lines = exposition.page(metrics.REGISTRY).decode().splitlines()
    parts = [line.rpartition(" ") for line in lines if line.startswith(prefix)]
    return {name.removeprefix(prefix): float(value) for name, _, value in parts}


def test_the_file_of_parameters(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 1500 } num_batch_threads { value: 3 }"
        ' thread_pool_name { value: "mine" } enable_large_batch_splitting { value: true }'
        " max_execution_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4"
    )
    assert parameters.from_file(file) == Parameters(
        max_batch_size=8,
        batch_timeout_s=0.0015,
        num_batch_threads=3,
        thread_pool_name="mine",
        split_large_batches=True,
        max_execution_batch_size=4,
        allowed_batch_sizes=(2, 4),
    )


def test_parameters_per_model(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    (tmp_path / "with" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    batching = choice.from_options(Options(enable_batching=True, enable_per_model_batching_parameters=True))
    runner = GatedRunner()
    assert batching.wrap(runner, Subject("m", 1, tmp_path / "without"), None, 1) is runner
    runner.signatures = {"s": signature_of("x:0", "y:0")}  # type: ignore[attr-defined]
    own = batching.wrap(runner, Subject("m", 1, tmp_path / "with"), None, 1)
    assert isinstance(own, ExplicitRunner)
    assert refusal(own, np.zeros(3))[1] == "Task size 3 is larger than maximum input batch size 2"
