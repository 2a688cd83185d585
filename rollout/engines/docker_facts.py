"""What the Docker engine of this machine can do, asked through its own command."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess

_ANSWER_S = 20.0
_PULL_S = 1800.0


@dataclasses.dataclass(frozen=True)
class DockerFacts:
    """A Docker engine that answers; `gpu` says whether it can hand a GPU to a container."""

    version: str
    architecture: str
    compose: str | None
    gpu: bool


def ask() -> tuple[DockerFacts | None, str]:
    """The facts, or None and why Docker cannot be used."""
    if shutil.which("docker") is None:
        return None, "the docker command is not installed"
    answer = _docker("info", "--format", "{{json .}}")
    try:
        info = json.loads(answer.stdout)
    except ValueError:
        info = {}
    if answer.returncode != 0 or not isinstance(info, dict) or not info.get("ServerVersion"):
        return None, f"no Docker engine answers ({_reason(answer)})"
    compose = _docker("compose", "version", "--short")
    facts = DockerFacts(
        version=info["ServerVersion"],
        architecture=info.get("Architecture", "unknown"),
        compose=compose.stdout.strip() if compose.returncode == 0 else None,
        gpu=_has_gpu(info),
    )
    return facts, ""


def has_image(image: str) -> bool:
    """Whether the engine holds `image` already."""
    return _docker("image", "inspect", image).returncode == 0


def pull(image: str) -> str:
    """Fetch `image`; returns an empty text, or why it cannot be had."""
    answer = _docker("pull", "--quiet", image, timeout_s=_PULL_S)
    return "" if answer.returncode == 0 else _reason(answer)


def processes_of(container: str) -> set[int]:
    """This machine's ids of the processes in a container; none when it does not run."""
    return {int(line) for line in _docker("top", container, "-eo", "pid").stdout.split() if line.isdigit()}


def _has_gpu(info: dict[str, object]) -> bool:
    runtimes = info.get("Runtimes") or {}
    devices = info.get("DiscoveredDevices") or []  # CDI devices, engine 28 and later
    has_runtime = isinstance(runtimes, dict) and "nvidia" in runtimes
    has_device = isinstance(devices, list) and any("nvidia.com/gpu" in str(device) for device in devices)
    return has_runtime or has_device


def _docker(*arguments: str, timeout_s: float = _ANSWER_S) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {timeout_s:g} s")


def _reason(answer: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in answer.stderr.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {answer.returncode}"
