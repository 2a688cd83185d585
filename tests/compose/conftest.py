"""What the tests on a Docker engine share: images that are built once, and stacks of containers.

`images` builds everything once in a session. `new_stack` (tests/compose/stack.py) makes a bundle in a scratch folder
and takes all of it away again. `serving` is a stack that `rollout up` brought from nothing to a prediction, one for
each test module that asks for it; a module can run it once for each engine by parametrising `engine_name`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from rollout.engines import docker_facts
from tests.compose.stack import Images, Stack, client, new_stack
from tests.e2e.conftest import ROOT

EPOCHS = "6"


@pytest.fixture(scope="session")
def engine() -> docker_facts.DockerFacts:
    """The Docker engine; there is nothing to test without one."""
    facts, why_not = docker_facts.ask()
    if facts is None or facts.compose is None:
        pytest.exit(f"these tests need Docker and its compose plugin: {why_not or 'no compose'}", returncode=1)
    return facts


@pytest.fixture(scope="session")
def images(engine: docker_facts.DockerFacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """The images, built from this tree by the command that `make up` uses; how long that took is printed."""
    made = Images()
    with new_stack(tmp_path_factory.mktemp("images"), made) as stack:
        for service in ("watcher", "trainer"):
            began = time.monotonic()
            answer = stack.compose("--profile", "*", "build", service)
            assert answer.returncode == 0, answer.stderr
            print(f"built {service} in {time.monotonic() - began:.0f} s")  # noqa: T201
    with client() as docker:
        command = ["docker", "build", "--quiet", "--tag", made.stand_in, "--build-arg", f"EMBEDDED_IMAGE={made.server}"]
        subprocess.run([*command, str(ROOT / "tests" / "compose" / "stand_in")], check=True, capture_output=True)
        yield made
        for tag in (made.stand_in, made.trainer, made.server):
            docker.images.remove(tag, force=True)  # Whatever a failed test left running must not hide why it failed.


@pytest.fixture(scope="module")
def engine_name() -> str:
    """Which engine `serving` serves with."""
    return "embedded"


@pytest.fixture(scope="module")
def serving(images: Images, engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that `rollout up` brought from nothing to a prediction; `first_output` holds what it printed."""
    with new_stack(tmp_path_factory.mktemp("stack"), images, engine_name) as stack:
        (stack.root / "first_output").write_text(stack.must("rollout", "up", EPOCHS=EPOCHS))
        yield stack
