"""Which engine runs here: what was asked for, or with ENGINE=auto the first that can, and why."""

from __future__ import annotations

import dataclasses

from bundle import output
from bundle.errors import BundleError
from bundle.settings import Settings
from rollout import gpu, gpu_support
from rollout.engines import docker_facts
from rollout.engines.base import Engine
from rollout.engines.compose import ComposeEngine
from rollout.engines.docker_facts import DockerFacts
from rollout.engines.local import LocalEngine

_AMD64 = ("x86_64", "amd64")


@dataclasses.dataclass(frozen=True)
class Choice:
    """An engine and the reason for it."""

    name: str
    reason: str


def build(name: str, settings: Settings) -> Engine:
    """The engine called `name`."""
    return LocalEngine(settings) if name == "local" else ComposeEngine(settings, name)


def choose(settings: Settings) -> Choice:
    """The engine to start; raises BundleError when the one asked for cannot run here."""
    if settings.engine == "local":
        return Choice("local", "asked for with ENGINE=local")
    facts, why_not = docker_facts.ask()
    if facts is not None and facts.compose is None:
        facts, why_not = None, "Docker answers, but `docker compose` is missing: install the compose plugin"
    if settings.engine == "auto":
        return _first_that_can_run(settings, facts, why_not)
    if facts is None:
        raise BundleError(
            f"ENGINE={settings.engine} needs Docker: {why_not}. Start it, or run without: make up ENGINE=local"
        )
    if settings.engine == "gpu":
        _require_gpu(settings, facts)
    return Choice(settings.engine, f"asked for with ENGINE={settings.engine}")


def _require_gpu(settings: Settings, facts: DockerFacts) -> None:
    if not facts.gpu:
        raise BundleError(
            "ENGINE=gpu: this Docker engine has neither the nvidia runtime nor a CDI device. Install NVIDIA's driver "
            "and the nvidia-container-toolkit, run `sudo nvidia-ctk runtime configure --runtime=docker`, restart "
            "Docker, and look at `make doctor`; or run without a GPU: make up ENGINE=cpu"
        )
    why_not = _why_no_gpu(settings, facts)
    if why_not:
        raise BundleError(f"ENGINE=gpu: {why_not}. See `make doctor`, or run without a GPU: make up ENGINE=cpu")


def _why_no_gpu(settings: Settings, facts: DockerFacts) -> str:
    """Why the GPU image cannot serve here; an empty text when it can, or when nobody can tell before it tries."""
    gpus, _ = gpu.ask()
    if not facts.gpu:
        seen = f", and {gpus[0].name} waits for it: install the nvidia-container-toolkit" if gpus else ""
        return f"Docker {facts.version} has neither the nvidia runtime nor a CDI device{seen}"
    support = gpu_support.of_image(settings.serving_gpu_image)
    problems = [(one, *gpu_support.why_not(support, one)) for one in gpus] if support else []
    if not problems or not all(reason for _, reason, _ in problems):
        return ""
    one, reason, remedy = problems[0]
    return f"{settings.serving_gpu_image} cannot use {one.name}: {reason}; {remedy}"


def _first_that_can_run(settings: Settings, facts: DockerFacts | None, why_not: str) -> Choice:
    if facts is None:
        return Choice("local", why_not)
    no_gpu = _why_no_gpu(settings, facts)
    if not no_gpu:
        return Choice("gpu", f"Docker {facts.version} can hand out a GPU")
    if facts.architecture not in _AMD64:
        return Choice("embedded", f"TensorFlow Serving publishes no image for {facts.architecture}")
    image = settings.serving_cpu_image
    if docker_facts.has_image(image):
        return Choice("cpu", no_gpu)
    output.step(f"pulling {image}")
    failure = docker_facts.pull(image)
    if failure:
        return Choice("embedded", f"{image} cannot be had ({failure})")
    return Choice("cpu", no_gpu)
