"""ENGINE=local: the embedded engine and the drop watcher as plain background processes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bundle import files, output
from bundle.errors import BundleError
from bundle.models_config import CONTAINER_MODELS, base_paths
from bundle.settings import Settings
from rollout import logs, ports, waiting
from rollout.engines.base import Engine
from rollout.engines.supervisor import RETRIES, Program, Supervisor
from rollout.processes import Background

_LAST_LINES = 15
_AFTER_DRAIN_S = 3
# By then every client was asked to connect again.
_LEAVE_S = 10
LONGEST_SILENCE_S = 30.0
"""A drop watcher that does not look round for longer is stuck."""

_WATCHER_STOP_S = 10.0  # A candidate being checked may take longer: the watcher puts it back at its next start.
_MONITORING_CONFIG = Path("serving", "monitoring.config")


class LocalEngine(Engine):
    """The default that always works: no Docker, no GPU."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, "local")
        run_dir = settings.root / ".run"
        self.server = Background("model-server", run_dir)
        self.before = Background("model-server-before", run_dir)
        self.watcher = Background("drop-watcher", run_dir)
        self.supervisor = Supervisor(settings.root)

    def is_running(self) -> bool:
        """Whether the server is there, or somebody who starts it again."""
        return any(process.find() for process in (self.server, self.before, self.supervisor.process))

    def preflight(self) -> None:
        """Raise BundleError for a taken port or a folder that cannot be written."""
        for setting in ("REST_PORT", "GRPC_PORT"):
            ports.require_free(self.settings.bind, getattr(self.settings, setting.lower()), setting)
        for folder in (self.settings.models_dir, self.settings.drop_dir, self.settings.quarantine_dir):
            require_writable(folder)

    def start(self) -> None:
        """Start the server and the drop watcher in the background, and who looks after both."""
        for base_path in base_paths(self.settings.root / "models.config", self.settings.models_dir).values():
            base_path.mkdir(parents=True, exist_ok=True)
        self.watcher.stop(_WATCHER_STOP_S)
        self._launch()
        root = self.settings.root
        output.step(f"started model-server{_pid(self.server)}, log {_short(self.server.log, root)}")
        output.step(f"started drop watcher{_pid(self.watcher)}, watching {_short(self.settings.drop_dir)}/")
        output.step(f"started supervisor{_pid(self.supervisor.process)}, which starts again what ends")

    def complete(self) -> None:
        """Start again what has ended for good or is stuck; a server that nobody looks after is followed by another."""
        if self.before.find() is not None or self.supervisor.process.find() is None:
            output.step("starting anew beside the server that runs: nobody looked after it")
            self.replace()
            return
        for process in (self.server, self.watcher):
            if process.find() is None and self.supervisor.start_again(process):
                output.step(f"started the {process.name} again")
        if self._silence_s() > LONGEST_SILENCE_S:
            self.watcher.send(signal.SIGKILL)
            output.step("ended the drop watcher, which was stuck; the supervisor starts it again")

    def replace(self) -> bool:
        """Start anew beside the server that runs, which ends when its clients have gone over; loses no request.

        Whether it was done; not where there is no server, or no way to share its ports.
        """
        if self.server.find() is None and self.before.find() is not None:
            self.server = self.before.rename(self.server.name)
        if sys.platform != "linux" or self.server.find() is None:
            return False
        if self.before.find() is not None:  # A restart was killed when the new server had been started.
            self._go_over()
            if self.supervisor.process.find() is not None:
                return True
        self.supervisor.kill()
        self.watcher.stop(_WATCHER_STOP_S)
        self.server.rename(self.before.name)
        try:
            self._launch()
            self._go_over()
        except BaseException:
            if self.before.find() is not None:
                self._go_back()
            raise
        return True

    def what_is_wrong(self) -> list[str]:
        """A sentence for each process that is gone, stopped or stuck."""
        supervisor = self.supervisor.process
        wrong = list(filter(None, map(_frozen, (self.server, self.watcher, supervisor))))
        if supervisor.find() is None:
            wrong.append("the supervisor has ended, and nobody starts again what ends; start it: make up")
        elif self.before.find() is not None:
            wrong.append("a server from before the last restart still runs; end it: make up")
        wrong += [self._why_gone(process) for process in (self.server, self.watcher) if process.find() is None]
        silence_s = self._silence_s()
        if silence_s > LONGEST_SILENCE_S and not self.watcher.is_frozen():
            wrong.append(
                f"the drop watcher is stuck: it has not looked round for {silence_s:.0f} s; start it again: make up"
            )
        return wrong

    def stop(self) -> None:
        """Stop the watcher first, so that nothing is published into a server that goes away."""
        self.supervisor.ask_to_end()
        self.watcher.stop(_WATCHER_STOP_S)
        for server in (self.server, self.before):
            grace_s = min(self.settings.stop_grace_seconds, self.settings.drain_seconds + _AFTER_DRAIN_S)
            if server.stop(grace_s):
                output.warn(f"{server.name} did not end within {grace_s} s and was killed")
        self.supervisor.stop()

    def check_alive(self) -> None:
        """Raise BundleError with the end of the log when the server process is gone."""
        if self.server.find() is None:
            tail = "\n  ".join(self.server.last_lines(_LAST_LINES))
            raise BundleError(f"model-server has ended; the end of {self.server.log}:\n  {tail}")

    def check_awake(self) -> None:
        """Raise BundleError when the server is stopped by a signal, so that it is of no use to wait for it."""
        frozen = _frozen(self.server)
        if frozen:
            raise BundleError(frozen)

    def _launch(self, server: bool = True) -> None:
        watch = [_command("rollout"), "watch", "--alive-file", str(self._alive_file)]
        self._alive_file.unlink(missing_ok=True)
        stop_s = self.settings.stop_grace_seconds
        self.supervisor.start(
            [
                Program(self.server, self._server_command(), stop_s, "QUIT", starts=server),
                Program(self.watcher, watch, _WATCHER_STOP_S),
            ]
        )

    def _go_over(self) -> None:
        """Let the server before end as soon as the one that follows it answers, and its clients have gone over."""
        self._wait_until_it_listens()
        output.step(f"the new server answers{_pid(self.server)}; the one before ends when its clients have gone over")
        self.before.stop(_LEAVE_S + self.settings.stop_grace_seconds, signal.SIGQUIT)

    def _wait_until_it_listens(self) -> None:
        wanted = {self.settings.rest_port, self.settings.grpc_port}

        def listens() -> None:
            if not wanted <= ports.listened_on_by(self.server.find()):
                raise waiting.NotYet("its log says what it does")

        timeout_s = self.settings.ready_timeout_seconds
        waiting.poll(listens, timeout_s, "the new server to have its versions loaded", self.check_alive)

    def _go_back(self) -> None:
        """Leave the answering to the server before, with a drop watcher as before."""
        self.supervisor.kill()
        self.watcher.stop(_WATCHER_STOP_S)
        self.server.stop(_WATCHER_STOP_S)
        self.server = self.before.rename(self.server.name)
        self._launch(server=False)
        output.warn("the new server did not start; the one before goes on. Mend what is said here, and: make restart")

    @property
    def _alive_file(self) -> Path:
        return self.settings.root / ".run" / "drop-watcher.alive"

    def _silence_s(self) -> float:
        """How long ago the watcher looked round; 0 when it is not there, or has just begun."""
        process = self.watcher.find()
        with contextlib.suppress(OSError, ValueError):
            pid, looked = self._alive_file.read_text().split()
            if process is not None and process.pid == int(pid):
                return time.monotonic() - float(looked)
        return 0.0

    def _why_gone(self, process: Background) -> str:
        last = process.last_lines(1)
        end = f"the end of its log: {last[0] if last else 'nothing'}"
        without = (
            f"nothing is taken from {_short(self.settings.drop_dir)}/" if process is self.watcher else "nobody answers"
        )
        state = self.supervisor.state_of(process)
        if state == "FATAL":
            return f"the {process.name} was given up after {RETRIES} tries, {without}; mend it, then: make up; {end}"
        if state == "BACKOFF":
            return f"the {process.name} has ended, not for the first time; it is started again in some seconds; {end}"
        if state in ("STARTING", "RUNNING"):
            return f"the {process.name} has just ended; it is started again in a moment; {end}"
        return f"the {process.name} has ended, {without}; start it: make up; {end}"

    def train(self, arguments: Sequence[str]) -> int:
        """Run `trainer train` as a child with this terminal."""
        return subprocess.run(
            [_command("trainer"), "train", *arguments], cwd=self.settings.root, check=False
        ).returncode

    def logs(self, follow: bool) -> None:
        """Print the logs, a name before each line."""
        logs.show([self.server, self.watcher, self.supervisor.process], follow)

    def _server_command(self) -> list[str]:
        settings = self.settings
        return [
            _command("model-server"),
            f"--host={settings.bind}",
            f"--allowed_hosts={settings.allowed_hosts}",
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
            f"--reuse_port={str(sys.platform == 'linux').lower()}",
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


def _frozen(process: Background) -> str:
    found = process.find()
    if found is None or not process.is_frozen():
        return ""
    return f"the {process.name} is stopped (SIGSTOP), and does nothing until: kill -CONT {found.pid}"


def _pid(process: Background) -> str:
    found = process.find()
    return f" (pid {found.pid})" if found else ""


def _short(path: Path, root: Path | None = None) -> str:
    root = root or Path.cwd()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
