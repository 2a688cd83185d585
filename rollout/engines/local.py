"""ENGINE=local: the embedded engine and the drop watcher as plain background processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle import files, output
from bundle.errors import BundleError
from bundle.models_config import CONTAINER_MODELS, base_paths
from bundle.settings import Settings
from rollout import logs, ports
from rollout.engines.base import Engine
from rollout.processes import Background

_LAST_LINES = 15
_WATCHER_STOP_S = 10.0  # A candidate being checked may take longer: the watcher puts it back at its next start.
_MONITORING_CONFIG = Path("serving", "monitoring.config")


class LocalEngine(Engine):
    """The default that always works: no Docker, no GPU."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "local")
        run_dir = settings.root / ".run"
        self.server = Background("model-server", run_dir)
        self.watcher = Background("drop-watcher", run_dir)

    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self.server.find() is not None

    def preflight(self) -> None:
        """Raise BundleError for a taken port or a folder that cannot be written."""
        for setting in ("REST_PORT", "GRPC_PORT"):
            ports.require_free(self.settings.bind, getattr(self.settings, setting.lower()), setting)
        for folder in (self.settings.models_dir, self.settings.drop_dir, self.settings.quarantine_dir):
            require_writable(folder)

    def start(self) -> None:
        """Start the server and the drop watcher in the background."""
        for base_path in base_paths(self.settings.root / "models.config", self.settings.models_dir).values():
            base_path.mkdir(parents=True, exist_ok=True)
        process = self.server.start(self._server_command(), self.settings.root)
        output.step(f"started model-server (pid {process.pid}), log {_short(self.server.log, self.settings.root)}")
        self.start_watcher()

    def complete(self) -> None:
        """Start the drop watcher when it has ended."""
        self.start_watcher()

    def what_is_wrong(self) -> list[str]:
        """A sentence for a process that is gone or stopped."""
        wrong = [
            f"the {process.name} is stopped (SIGSTOP), and does nothing until: kill -CONT {found.pid}"
            for process in (self.server, self.watcher)
            if (found := process.find()) is not None and process.is_frozen()
        ]
        if self.watcher.find() is None:
            last = self.watcher.last_lines(1)
            wrong.append(
                f"the drop watcher has ended, and nothing is taken from {_short(self.settings.drop_dir)}/; start it: "
                f"make up. The end of its log: {last[0] if last else 'nothing'}"
            )
        return wrong

    def start_watcher(self) -> None:
        """Start the drop watcher unless it runs."""
        if self.watcher.find() is None:
            command = [_command("rollout"), "watch"]
            process = self.watcher.start(command, self.settings.root)
            output.step(f"started drop watcher (pid {process.pid}), watching {_short(self.settings.drop_dir)}/")

    def stop(self) -> None:
        """Stop the watcher first, so that nothing is published into a server that goes away."""
        self.watcher.stop(_WATCHER_STOP_S)
        if self.server.stop(self.settings.stop_grace_seconds):
            output.warn(f"model-server did not end within {self.settings.stop_grace_seconds} s and was killed")

    def check_alive(self) -> None:
        """Raise BundleError with the end of the log when the server process is gone."""
        if self.server.find() is None:
            tail = "\n  ".join(self.server.last_lines(_LAST_LINES))
            raise BundleError(f"model-server has ended; the end of {self.server.log}:\n  {tail}")

    def train(self, arguments: Sequence[str]) -> int:
        """Run `trainer train` as a child with this terminal."""
        return subprocess.run(
            [_command("trainer"), "train", *arguments], cwd=self.settings.root, check=False
        ).returncode

    def logs(self, follow: bool) -> None:
        """Print both logs, a name before each line."""
        logs.show([self.server, self.watcher], follow)

    def _server_command(self) -> list[str]:
        settings = self.settings
        return [
            _command("model-server"),
            f"--host={settings.bind}",
            f"--port={settings.grpc_port}",
            f"--rest_api_port={settings.rest_port}",
            f"--model_config_file={settings.root / 'models.config'}",
            f"--model_config_file_poll_wait_seconds={settings.config_poll_seconds}",
            f"--file_system_poll_wait_seconds={settings.version_poll_seconds}",
            f"--max_num_load_retries={settings.load_retries}",
            f"--load_retry_interval_micros={settings.load_retry_seconds * 1_000_000}",
            f"--monitoring_config_file={settings.root / _MONITORING_CONFIG}",
            "--allow_version_labels_for_unavailable_models=true",  # Or it would not start again during a canary.
            f"--base_path_map={CONTAINER_MODELS}={settings.models_dir}",
            f"--model_root={settings.models_dir}",  # So that models that are added later can be read.
            f"--sandbox={settings.sandbox}",
            f"--drain_timeout_seconds={settings.drain_seconds}",
        ]


def require_writable(folder: Path) -> None:
    """Make `folder` if it is missing; raise BundleError with the command that helps when it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        problem = files.why_not_writable(folder)
    except OSError as error:
        nearest = next(path for path in folder.parents if path.is_dir())
        problem = files.why_not_writable(nearest) or f"cannot make {folder}: {error.strerror}"
    if problem:
        raise BundleError(problem)


def _command(name: str) -> str:
    """The console command `name` of the environment that this process runs in."""
    return str(Path(sys.executable).with_name(name))


def _short(path: Path, root: Path | None = None) -> str:
    root = root or Path.cwd()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
