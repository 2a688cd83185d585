"""ENGINE=gpu, cpu or embedded: the same stack of containers with another server image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bundle import output
from bundle.errors import BundleError
from rollout.engines import docker_facts
from rollout.engines.base import Engine
from rollout.engines.local import require_writable

_LAST_LINES = "15"
_SERVER = "server"


class ComposeEngine(Engine):
    """The stack of compose.yaml, with compose.gpu.yaml on top for ENGINE=gpu."""

    def is_running(self) -> bool:
        """Whether the server's container is running."""
        answer = self._compose("ps", "--status", "running", "--quiet", _SERVER, capture=True)
        return answer.returncode == 0 and bool(answer.stdout.strip())

    def preflight(self) -> None:
        """Raise BundleError for folders that cannot be written and for an image that cannot be had."""
        for folder in self._folders():
            require_writable(folder)
        if self.name == "embedded" or docker_facts.has_image(self._server_image()):
            return
        failure = docker_facts.pull(self._server_image())
        if failure:
            raise BundleError(
                f"ENGINE={self.name} needs the image {self._server_image()}, and it cannot be pulled: {failure}. "
                "Load it (`docker load -i image.tar`), name another one in .env, or use our own engine: "
                "make up ENGINE=embedded"
            )

    def start(self) -> None:
        """Build what is built here, and start the server and the drop watcher."""
        output.step("building the images (the first time takes minutes)")
        self._must("build", "--quiet", "watcher")
        self._must("up", "--detach", "--no-build", "--quiet-pull", _SERVER, "watcher")

    def stop(self) -> None:
        """Stop and remove the containers and the network."""
        self._must("--profile", "*", "down", "--remove-orphans")

    def check_alive(self) -> None:
        """Raise BundleError with the end of its log when the container is gone."""
        if not self.is_running():
            tail = self._compose("logs", "--no-color", "--tail", _LAST_LINES, _SERVER, capture=True)
            raise BundleError(f"the server's container is not running; the end of its log:\n{tail.stdout.rstrip()}")

    def train(self, arguments: Sequence[str]) -> int:
        """Train in a one-shot container."""
        for folder in self._folders():
            require_writable(folder)
        self._must("--profile", "train", "build", "--quiet", "trainer")
        return self._compose("--profile", "train", "run", "--rm", "trainer", "train", *arguments).returncode

    def logs(self, follow: bool) -> None:
        """Print the containers' logs."""
        self._compose("logs", "--tail", "30", *(["--follow"] if follow else []))

    def _folders(self) -> list[Path]:
        settings = self.settings
        return [
            settings.models_dir,
            settings.drop_dir,
            settings.quarantine_dir,
            settings.releases_dir,
            settings.runs_dir,
            settings.data_dir,  # Docker would make a missing one as root.
        ]

    def _server_image(self) -> str:
        images = {
            "gpu": self.settings.serving_gpu_image,
            "cpu": self.settings.serving_cpu_image,
            "embedded": self.settings.embedded_image,
        }
        return images[self.name]

    def _trainer_downloads(self) -> bool:
        return self.settings.dataset == "mnist" or self.settings.weights == "imagenet"

    def _must(self, *arguments: str) -> None:
        answer = self._compose(*arguments)
        if answer.returncode != 0:
            raise BundleError(
                f"docker compose {' '.join(arguments)} failed (exit status {answer.returncode}), see above"
            )

    def _compose(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        files = ["compose.yaml"] + (["compose.gpu.yaml"] if self.name == "gpu" else [])
        command = ["docker", "compose", *(part for file in files for part in ("--file", file)), *arguments]
        return subprocess.run(
            command,
            cwd=self.settings.root,
            env={**os.environ, **self._environment()},
            capture_output=capture,
            text=True,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        """What compose.yaml interpolates: the settings as this command sees them, and who the caller is."""
        values = {name.upper(): str(value) for name, value in vars(self.settings).items() if value is not None}
        return {
            **values,
            "SERVER_IMAGE": self._server_image(),
            "TRAINER_NETWORK": "bridge" if self._trainer_downloads() else "none",
            "BUNDLE_UID": str(os.getuid()),
            "BUNDLE_GID": str(os.getgid()),
        }
