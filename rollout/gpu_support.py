"""Which GPUs the GPU image of each TensorFlow Serving release can use, as data.

A release holds machine code for some compute capabilities and, for one more, code that the driver compiles when the
GPU is first used. Machine code runs on its own major version from its minor version on: what was made for 8.0
runs on 8.6. From `BROKEN_FROM` on no release so far has worked, whatever the compiler promises.
"""

from __future__ import annotations

import dataclasses
import re

from rollout.gpu import Gpu

BROKEN_FROM = (10, 0)
_CONTEXT_MIB = 1500
_ON_THE_CPU = "serve on the CPU: make up ENGINE=cpu"


@dataclasses.dataclass(frozen=True)
class Support:
    """What one release was built for."""

    cuda: str
    machine_code: tuple[tuple[int, int], ...]
    compiled_by_driver: tuple[int, int]
    least_driver: tuple[int, ...]
    """The oldest driver that the image starts with on every kind of GPU, and that can compile for it."""


_CUDA_12_2 = Support("12.2", ((5, 0), (6, 0), (7, 0), (8, 0)), (9, 0), (535,))
_CUDA_12_5 = Support("12.5", ((6, 0), (7, 0), (8, 0), (8, 9)), (9, 0), (555,))
RELEASES = {"2.17": _CUDA_12_2, "2.18": _CUDA_12_2, "2.19": _CUDA_12_2, "2.20": _CUDA_12_5}


def of_image(image: str) -> Support | None:
    """What the release that an image is tagged with was built for; None for one that is not in the table."""
    found = re.search(r":(\d+\.\d+)", image)
    return RELEASES.get(found[1]) if found else None


def why_not(support: Support, gpu: Gpu) -> tuple[str, str]:
    """Why the image cannot use the GPU, and what would help; two empty texts when it can."""
    capability = _dotted(gpu.capability)
    if gpu.capability >= BROKEN_FROM:
        return f"compute capability {capability} is newer than it supports", _ON_THE_CPU
    if not _has_machine_code(support, gpu) and gpu.capability < support.compiled_by_driver:
        oldest = _dotted(support.machine_code[0])
        return f"compute capability {capability} is older than {oldest}, where it begins", _ON_THE_CPU
    if gpu.driver < support.least_driver:
        wanted = _dotted(support.least_driver)
        reason = f"its CUDA {support.cuda} wants driver {wanted} or newer, not {_dotted(gpu.driver)}"
        return reason, "update NVIDIA's driver"
    return "", ""


def is_compiled_at_first_use(support: Support, gpu: Gpu) -> bool:
    """Whether the driver compiles every kernel when the GPU is first used, which takes minutes once."""
    return not _has_machine_code(support, gpu)


def memory_of_two_versions_mib(version_bytes: int) -> int:
    """An estimate of what a switch needs: both versions' weights, and CUDA's own and a batch's work space once."""
    return _CONTEXT_MIB + 2 * version_bytes // 2**20


def _has_machine_code(support: Support, gpu: Gpu) -> bool:
    return any(made[0] == gpu.capability[0] and made <= gpu.capability for made in support.machine_code)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
