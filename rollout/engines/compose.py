"""ENGINE=gpu, cpu or embedded: the same stack of containers with another server image."""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bundle import environment, files, output
from bundle.errors import BundleError
from bundle.models_config import base_paths
from bundle.settings import TRAINER, Settings
from rollout import ports
from rollout.engines import docker_facts, mounts
from rollout.engines.base import Engine

_LAST_LINES = "15"
_SERVER, _WATCHER, _TRAINER = "server", "watcher", "trainer"
_GPU_IDS = """\
# Made from GPU_IDS: GPUs by id instead of by number.
services:
  server: &by-id
    deploy: {{resources: {{reservations: {{devices: !override [
      {{driver: nvidia, device_ids: [{ids}], capabilities: [gpu]}}]}}}}}}
  trainer: *by-id
"""


class ComposeEngine(Engine):
    """The stack of compose.yaml, with compose.gpu.yaml on top for ENGINE=gpu."""

    def is_running(self) -> bool:
        """Whether the server's container is running."""
        answer = self._compose("ps", "--status", "running", "--quiet", _SERVER, capture=True)
        return answer.returncode == 0 and bool(answer.stdout.strip())

    def preflight(self) -> None:
        """Raise BundleError for a taken port, a folder that containers cannot write, an image that cannot be had."""
        for setting in ("REST_PORT", "GRPC_PORT"):
            ports.require_free(self.settings.bind, getattr(self.settings, setting.lower()), setting)
        self._require_folders()
        self.require_image()

    def require_image(self) -> None:
        """Raise BundleError for an image that is neither here nor to be had."""
        if self.name == "embedded" or docker_facts.has_image(self.server_image):
            return
        output.step(f"pulling {self.server_image}")
        failure = docker_facts.pull(self.server_image)
        if failure:
            raise BundleError(
                f"ENGINE={self.name} needs the image {self.server_image}, and it cannot be pulled: {failure}. "
                "Load it (`docker load -i image.tar`), name another one in .env, or use our own engine: "
                "make up ENGINE=embedded"
            )

    def start(self) -> None:
        """Build what is built here, and start the server and the drop watcher."""
        self.build_server()
        self._quietly("up", "--detach", "--no-build", _SERVER, _WATCHER)

    def wait_healthy(self) -> None:
        """Return once Docker's own health checks have passed."""
        patience = str(self.settings.ready_timeout_seconds)
        self._quietly("up", "--no-build", "--no-recreate", "--wait", "--wait-timeout", patience, _SERVER, _WATCHER)

    def stop(self) -> None:
        """Stop and remove the containers, the network and the volume between watcher and gate."""
        self._quietly("--profile", "*", "down", "--remove-orphans", "--volumes")

    def server_pids(self) -> set[int]:
        """This machine's ids of the processes in the server's container."""
        return docker_facts.processes_of(self._compose("ps", "--quiet", _SERVER, capture=True).stdout.strip())

    def server_log(self) -> str:
        """All that Docker has kept of the server's log."""
        return self._compose("logs", "--no-color", _SERVER, capture=True).stdout

    def check_alive(self) -> None:
        """Raise BundleError with the end of its log when the container is gone."""
        if not self.is_running():
            tail = self._compose("logs", "--no-color", "--tail", _LAST_LINES, _SERVER, capture=True)
            raise BundleError(f"the server's container is not running; the end of its log:\n{tail.stdout.rstrip()}")

    def train(self, arguments: Sequence[str]) -> int:
        """Train in a one-shot container."""
        settings, rest = _with_flags(self.settings, arguments)
        return ComposeEngine(settings, self.name)._train(rest)

    def logs(self, follow: bool) -> None:
        """Print the containers' logs."""
        self._compose("logs", "--tail", "30", *(["--follow"] if follow else []))

    @property
    def server_image(self) -> str:
        """Name of the image that answers."""
        images = {
            "gpu": self.settings.serving_gpu_image,
            "cpu": self.settings.serving_cpu_image,
            "embedded": self.settings.embedded_image,
        }
        return images[self.name]

    def build_server(self) -> None:
        """Build our own server image: the engine of ENGINE=embedded, and the drop watcher of all three."""
        output.step(f"building {self.settings.embedded_image} (the first time takes minutes)")
        self._must("build", "--quiet", _WATCHER)

    def _train(self, arguments: Sequence[str]) -> int:
        self._require_folders()
        weights = mounts.weights_options(self.settings.weights, self.settings.root)
        output.step(f"building {self.settings.trainer_image} (the first time takes minutes)")
        self._must("--profile", "train", "build", "--quiet", _TRAINER)
        return self._compose("--profile", "train", "run", "--rm", *weights, _TRAINER, "train", *arguments).returncode

    def _require_folders(self) -> None:
        settings = self.settings
        given = [settings.models_dir, settings.drop_dir, settings.quarantine_dir]
        given += [settings.releases_dir, settings.runs_dir]
        listed = base_paths(settings.root / "models.config", settings.models_dir).values()
        for folder in [*given, *(base_path for base_path in listed if base_path.is_dir())]:
            mounts.require_usable(folder)
        settings.data_dir.mkdir(parents=True, exist_ok=True)  # Docker would make a missing one as root.
        if self.name == "gpu":
            mounts.require_usable(settings.root / ".run" / "cuda-cache")

    def _trainer_downloads(self) -> bool:
        return self.settings.dataset == "mnist" or self.settings.weights == "imagenet"

    def _must(self, *arguments: str) -> None:
        answer = self._compose(*arguments)
        if answer.returncode != 0:
            raise BundleError(
                f"docker compose {' '.join(arguments)} failed (exit status {answer.returncode}), see above"
            )

    def _quietly(self, *arguments: str) -> None:
        answer = self._compose(*arguments, capture=True)
        if answer.returncode != 0:
            said = answer.stderr.strip()
            raise BundleError(f"docker compose {' '.join(arguments)} failed (exit status {answer.returncode}):\n{said}")

    def _compose(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        named = (part for file in self.compose_files() for part in ("--file", str(file)))
        return subprocess.run(
            ["docker", "compose", *named, *arguments],
            cwd=self.settings.root,
            env={**os.environ, **self.compose_environment()},
            capture_output=capture,
            text=True,
            check=False,
        )

    def compose_files(self) -> list[Path]:
        """The compose files in force, in the order in which they are merged."""
        root = self.settings.root
        if self.name != "gpu":
            return [root / "compose.yaml"]
        return [root / "compose.yaml", root / "compose.gpu.yaml", *self._gpu_ids_file()]

    def _gpu_ids_file(self) -> list[Path]:
        """GPU_IDS as a compose file: a list cannot come from a variable, and count and ids exclude each other."""
        if not self.settings.gpu_ids:
            return []
        path = self.settings.root / ".run" / "compose.gpu-ids.yaml"
        path.parent.mkdir(exist_ok=True)
        ids = ", ".join(f'"{one}"' for one in self.settings.gpu_ids.split(","))
        files.write_atomically(path, _GPU_IDS.format(ids=ids))
        return [path]

    def compose_environment(self) -> dict[str, str]:
        """What compose.yaml interpolates: the settings as this command sees them, and who the caller is."""
        values = {name: "auto" if value is None else str(value) for name, value in vars(self.settings).items()}
        return {
            **{name.upper(): value for name, value in values.items()},
            "SERVER_IMAGE": self.server_image,
            "TRAINER_NETWORK": "bridge" if self._trainer_downloads() else "none",
            "BUNDLE_UID": str(os.getuid()),
            "BUNDLE_GID": str(os.getgid()),
        }


def _with_flags(settings: Settings, arguments: Sequence[str]) -> tuple[Settings, list[str]]:
    """`settings` with the trainer's flags for them, and what is left of the flags.

    A path among them is this machine's: it has to be mounted, and not handed on.
    """
    parser = argparse.ArgumentParser(prog="rollout train --")
    environment.add_arguments(parser, TRAINER)
    known, rest = parser.parse_known_args(arguments)
    flags = environment.overrides_from(known)
    given = environment.load(settings.root, flags)
    return dataclasses.replace(settings, **{name.lower(): getattr(given, name.lower()) for name in flags}), rest
