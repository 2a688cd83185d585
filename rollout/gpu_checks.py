"""What `rollout doctor` says about GPUs: driver, what the image supports, and whether a switch fits the memory."""

from __future__ import annotations

from collections.abc import Iterator

from bundle.errors import BundleError
from bundle.files import size_in_bytes
from bundle.models_config import base_path_of
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout import gpu, gpu_support
from rollout.finding import Finding, Level
from rollout.gpu import Gpu


def gpus(settings: Settings) -> Iterator[Finding]:
    """One finding for each GPU, and one for the memory that two versions need."""
    found, why_none = gpu.ask()
    if not found:
        remedy = "check NVIDIA's driver" if "fails" in why_none else "nothing to do: CPUs serve and train"
        yield Finding("GPU", Level.WARNING, f"none seen ({why_none})", remedy)
        return
    for one in found:
        yield _one(settings, one)
    yield from _memory(settings, min(found, key=lambda one: one.memory_mib))


def _one(settings: Settings, one: Gpu) -> Finding:
    name = f"GPU {one.index}"
    capability = ".".join(map(str, one.capability))
    driver = ".".join(map(str, one.driver))
    facts = f"{one.name}, driver {driver}, compute capability {capability}, {one.memory_mib} MiB"
    support = gpu_support.of_image(settings.serving_gpu_image)
    if support is None:
        remedy = "see what its release notes say about compute capabilities"
        return Finding(name, Level.WARNING, f"{facts}; nothing is known about {settings.serving_gpu_image}", remedy)
    reason, remedy = gpu_support.why_not(support, one)
    if reason:
        return Finding(name, Level.WARNING, f"{facts}; {settings.serving_gpu_image} cannot use it: {reason}", remedy)
    if gpu_support.is_compiled_at_first_use(support, one):
        facts += "; the first load compiles for minutes, later ones find it in .run/cuda-cache"
    return Finding(name, Level.OK, facts)


def _memory(settings: Settings, smallest: Gpu) -> Iterator[Finding]:
    try:
        base_path = base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)
    except BundleError:
        return  # The check of models.config says it.
    folders = version_folders(base_path)
    if not folders:
        return
    needed = gpu_support.memory_of_two_versions_mib(size_in_bytes(folders[max(folders)]))
    share = settings.gpu_memory_fraction or 1.0
    there = int(smallest.memory_mib * share)
    need = f"two versions of {settings.model_name} need about {needed} MiB during a switch"
    fits = needed <= there
    remedy = "" if fits else "a larger GPU, a smaller model, a higher GPU_MEMORY_FRACTION, or ENGINE=cpu"
    level = Level.OK if fits else Level.WARNING
    yield Finding("GPU memory", level, f"{need}; GPU {smallest.index} gives {there}", remedy)
