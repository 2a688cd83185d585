"""The images are small, hold no tools, run without root, are quick to build again, and can have a version inside."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bundle import manifest
from tests.compose.stack import Images, Stack, client, new_stack
from tests.e2e.conftest import MODEL
from tests.waiting import until

pytestmark = pytest.mark.docker

MOST_BYTES = {"server": 1.1e9, "trainer": 1.45e9}
TOOLS = ("gcc", "cc", "make", "strip", "curl", "wget", "git")
NAMES = ("server", "trainer")


def inspect(tag: str) -> dict[str, Any]:
    with client() as docker:
        facts: dict[str, Any] = docker.images.get(tag).attrs
        return facts


def run(tag: str, script: str) -> str:
    """Output of a bash script in a container of the image."""
    with client() as docker:
        said: bytes = docker.containers.run(tag, ["-c", script], entrypoint="bash", remove=True, network_mode="none")
        return said.decode()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_small(images: Images, name: str) -> None:
    assert inspect(getattr(images, name))["Size"] < MOST_BYTES[name]


@pytest.mark.parametrize("name", NAMES)
def test_it_does_not_run_as_root_and_says_what_it_is(images: Images, name: str) -> None:
    facts = inspect(getattr(images, name))["Config"]
    assert facts["User"] == "1000:1000"
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in facts["Labels"].items()}
    assert labels["title"] == f"tf-serving-bundle {name}"
    assert labels["version"] == "0.1.0"
    assert labels["base.name"] == images.python
    assert labels["description"]


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_no_tools_and_no_other_code(images: Images, name: str) -> None:
    found = run(getattr(images, name), f"type -p {' '.join(TOOLS)}; ls /opt/code; ls /opt/bundle/bin | grep pip; true")
    own = {"bundle", "serving", "rollout"} | ({"trainer"} if name == "trainer" else set())
    assert set(found.split()) == own


def test_keras_is_in_the_trainer_only(images: Images) -> None:
    script = "cd /opt/bundle/lib/python3*/site-packages && ls -d tensorflow keras 2>/dev/null; true"
    assert run(images.server, script).split() == ["tensorflow"]
    assert run(images.trainer, script).split() == ["keras", "tensorflow"]


def test_a_change_of_code_makes_no_large_layer_anew(images: Images, tmp_path: Path) -> None:
    tags = {"EMBEDDED_IMAGE": f"{images.server}-changed", "TRAINER_IMAGE": f"{images.trainer}-changed"}
    with new_stack(tmp_path, images, **tags) as stack:
        for package in ("bundle", "serving", "trainer"):
            (tmp_path / package / "changed.py").write_text(f"# {time.time()}\n")
        assert stack.compose("--profile", "*", "build", "watcher", "trainer").returncode == 0
        try:
            for name, tag in zip(NAMES, tags.values(), strict=True):
                old, new = inspect(getattr(images, name)), inspect(tag)
                kept = [one for one in new["RootFS"]["Layers"] if one in old["RootFS"]["Layers"]]
                assert len(new["RootFS"]["Layers"]) - len(kept) <= 4
                assert new["Id"] != old["Id"]
        finally:
            with client() as docker:
                for tag in tags.values():
                    docker.images.remove(tag)


@pytest.fixture(scope="module")
def baked(serving: Stack) -> Iterator[str]:
    """Tag of an image with version 1 inside."""
    output = serving.must("rollout", "image", "--version", "1")
    tag = f"{serving.project}/{MODEL.lower()}:1"
    assert f"built {tag}" in output
    yield tag
    with client() as docker:
        docker.images.remove(tag)


@pytest.fixture(scope="module", params=["embedded", "cpu"])
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_baked_version_serves_without_any_mount(serving: Stack, baked: str) -> None:
    options: dict[str, Any] = {"cap_drop": ["ALL"], "read_only": True, "tmpfs": {"/tmp": ""}, "init": True}
    with client() as docker:
        container = docker.containers.run(baked, detach=True, ports={"8501/tcp": ("127.0.0.1", None)}, **options)
        try:
            until(lambda: _health(container) == "healthy", "the container to be healthy")
            port = container.attrs["NetworkSettings"]["Ports"]["8501/tcp"][0]["HostPort"]
            assert container.attrs["Mounts"] == []
            assert container.attrs["Config"]["User"] == "1000:1000"
            folder = serving.base_path / "1"
            document = manifest.read(folder)
            assert document is not None
            example = document.examples[0]
            image = base64.b64encode((folder / manifest.FOLDER / example.image).read_bytes()).decode()
            body = {"signature_name": "serving_bytes", "instances": [{"b64": image}]}
            reply = requests.post(f"http://127.0.0.1:{port}/v1/models/{MODEL}:predict", json=body, timeout=30)
            assert reply.json()["predictions"][0] == pytest.approx(example.logits, abs=1e-3)
        finally:
            container.remove(force=True)


def _health(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def test_a_version_that_is_not_there_cannot_be_baked(serving: Stack) -> None:
    status, output = serving.run("rollout", "image", "--version", "99")
    assert status == 2
    assert "holds no version 99; it holds 1" in output
