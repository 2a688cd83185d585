"""A bundle in a scratch folder whose engine is a stack of containers: a project name, ports and images of its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from bundle.environment import load
from rollout.engines.compose import ComposeEngine
from tests.e2e.conftest import ROOT, Bundle
from tests.ports import free_ports

FILES = (".dockerignore", ".env", "compose.yaml", "compose.gpu.yaml", "models.config")
FOLDERS = ("bundle", "requirements", "rollout", "serving", "trainer")
LABEL = "com.docker.compose.project"
RUN = uuid.uuid4().hex[:8]  # Two runs on one machine do not remove each other's images.


@dataclasses.dataclass(frozen=True)
class Images:
    """Tags of the images under test, of which only this run knows."""

    server: str = f"tf-serving-bundle-test/server:{RUN}"
    trainer: str = f"tf-serving-bundle-test/trainer:{RUN}"
    stand_in: str = f"tf-serving-bundle-test/tensorflow-serving:{RUN}"
    python: str = "python:3.11-slim-bookworm"


@dataclasses.dataclass(frozen=True)
class Stack(Bundle):
    """One installation of the bundle that serves from containers."""

    @property
    def project(self) -> str:
        return self.environment["PROJECT"]

    @property
    def engine(self) -> ComposeEngine:
        """The engine as the bundle's own commands make it."""
        given = {name: value for name, value in self.environment.items() if name not in ("MAKEFLAGS", "ENGINE")}
        given.pop("TF_CPP_MIN_LOG_LEVEL", None)
        return ComposeEngine(load(self.root, given), self.environment["ENGINE"])

    def compose(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`docker compose` as an operator types it, with the settings of this stack; `variables` win."""
        return subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.root,
            env={**os.environ, **self.engine.compose_environment(), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def container(self, service: str) -> Container:
        """The container of a service."""
        found = self.containers(f"com.docker.compose.service={service}")
        assert len(found) == 1, f"{len(found)} containers of {service}"
        return found[0]

    def containers(self, *labels: str) -> list[Container]:
        """All containers of this project, also those that have ended."""
        with client() as engine:
            return list(engine.containers.list(all=True, filters={"label": [f"{LABEL}={self.project}", *labels]}))

    def network(self) -> Any:
        """The one network of this project."""
        with client() as engine:
            (found,) = engine.networks.list(filters={"label": f"{LABEL}={self.project}"})
            found.reload()
            return found

    def leftovers(self) -> list[str]:
        """Names of the containers, networks and volumes that bear this project's label."""
        mine = {"label": f"{LABEL}={self.project}"}
        with client() as engine:
            found = [*engine.containers.list(all=True, filters=mine), *engine.networks.list(filters=mine)]
            return [one.name for one in [*found, *engine.volumes.list(filters=mine)]]

    def server_state(self) -> dict[str, Any]:
        """What `docker inspect` says of the server's state."""
        facts: dict[str, Any] = self.container("server").attrs
        return {"RestartCount": facts["RestartCount"], **facts["State"]}

    def stop(self) -> None:
        """Stop everything, also what a failed test left."""
        self.run("rollout", "down")
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


@contextmanager
def client() -> Iterator[docker.DockerClient]:
    """The Docker engine that the environment names."""
    engine = docker.from_env()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def new_stack(folder: Path, images: Images, engine: str = "embedded", **settings: str) -> Iterator[Stack]:
    """An empty bundle in `folder`; nothing of it is left behind, whatever happens inside the block."""
    folder.chmod(0o755)  # pytest's own folders are closed to the other users that containers can run as.
    for name in FILES:
        shutil.copyfile(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    rest, grpc = free_ports(2)
    environment = {
        "ENGINE": engine,
        "PROJECT": f"bundle-test-{uuid.uuid4().hex[:8]}",
        "MODEL_TYPE": "LenetModel",
        "REST_PORT": str(rest),
        "GRPC_PORT": str(grpc),
        "EMBEDDED_IMAGE": images.server,
        "TRAINER_IMAGE": images.trainer,
        "SERVING_CPU_IMAGE": images.stand_in,
        "DROP_QUIET_SECONDS": "2",
        "DROP_INCOMPLETE_SECONDS": "4",
        "WATCH_SECONDS": "1",
        "KEEP_VERSIONS": "20",
        "MAX_ACCURACY_DROP": "1",  # What is trained for an epoch or two is to be released, too.
        "MIN_ACCURACY": "0",
        "MAX_SLOWDOWN": "1000",
        "MAKEFLAGS": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **settings,
    }
    stack = Stack(folder, environment)
    try:
        yield stack
    finally:
        stack.stop()
        assert not stack.leftovers()
