"""Engines that cannot run here, and files of weights: refused in one paragraph, with nothing started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engines.docker_facts import DockerFacts
from tests.compose.stack import Images, Stack, new_stack

pytestmark = pytest.mark.docker


@pytest.fixture
def empty(engine: DockerFacts, tmp_path: Path) -> Iterator[Stack]:
    """A bundle with nothing in it, and names of images that nobody has."""
    images = Images(stand_in="127.0.0.1:1/no/serving:0", server="tf-serving-bundle-test/absent:0")
    with new_stack(tmp_path, images) as stack:
        yield stack


def refusal(stack: Stack, **settings: str) -> tuple[str, str]:
    """The steps of `rollout up` and the one line with which it refuses, with nothing started."""
    status, output = stack.run("rollout", "up", **settings)
    assert status == 1
    assert stack.leftovers() == []
    steps, _, error = output.rpartition("error: ")
    assert all(line.startswith("-->") for line in steps.splitlines())
    assert error.count("\n") == 1
    return steps, error.rstrip()


def test_a_gpu_without_its_runtime(empty: Stack, engine: DockerFacts) -> None:
    if engine.gpu:
        pytest.skip("this engine can hand out a GPU")
    _, error = refusal(empty, ENGINE="gpu")
    assert "neither the nvidia runtime nor a CDI device" in error
    assert "nvidia-container-toolkit" in error
    assert error.endswith("make up ENGINE=cpu")


def test_an_image_that_cannot_be_pulled(empty: Stack) -> None:
    _, error = refusal(empty, ENGINE="cpu")
    assert "ENGINE=cpu needs the image 127.0.0.1:1/no/serving:0, and it cannot be pulled" in error
    assert "docker load -i image.tar" in error
    assert error.endswith("make up ENGINE=embedded")


def test_auto_takes_our_engine_instead_and_says_why(empty: Stack, engine: DockerFacts) -> None:
    if engine.gpu:
        pytest.skip("this engine can hand out a GPU")
    steps, error = refusal(empty, ENGINE="auto", WEIGHTS="missing.weights.h5")
    assert "engine: embedded (127.0.0.1:1/no/serving:0 cannot be had" in steps
    assert error == "WEIGHTS=missing.weights.h5: no such file; give none, imagenet, or a .weights.h5 file"
