"""The GPUs of this machine, asked through nvidia-smi."""

from __future__ import annotations

import dataclasses
import subprocess

_FIELDS = ("index", "name", "driver_version", "compute_cap", "memory.total", "memory.used")
_ANSWER_S = 20.0
_NOT_THERE = 127


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU; memory in MiB, as nvidia-smi counts."""

    index: int
    name: str
    driver: tuple[int, ...]
    capability: tuple[int, int]
    memory_mib: int
    used_mib: int


def ask() -> tuple[list[Gpu], str]:
    """The GPUs, or none and why: no nvidia-smi, no driver, or an answer that cannot be read."""
    answer = _nvidia_smi(f"--query-gpu={','.join(_FIELDS)}")
    if answer.returncode == _NOT_THERE:
        return [], "no nvidia-smi"
    if answer.returncode != 0:
        reason = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        return [], f"nvidia-smi fails: {''.join(reason)}"
    lines = [line for line in answer.stdout.splitlines() if line.strip()]
    try:
        gpus = [_gpu(line) for line in lines]
    except ValueError:
        return [], f"nvidia-smi says {' / '.join(lines)[:200]!r}, which is not {', '.join(_FIELDS)}"
    return gpus, "" if gpus else "nvidia-smi lists none"


def memory_of_processes() -> dict[int, int]:
    """Process id to MiB of GPU memory, for every process that computes on a GPU."""
    answer = _nvidia_smi("--query-compute-apps=pid,used_memory")
    rows = [line.split(",") for line in answer.stdout.splitlines() if answer.returncode == 0 and "," in line]
    return {int(pid): int(memory) if memory.strip().isdigit() else 0 for pid, memory in rows}


def _gpu(line: str) -> Gpu:
    index, *name, driver, capability, total, used = [part.strip() for part in line.split(",")]
    major, minor = capability.split(".")
    version = tuple(int(part) for part in driver.split("."))
    return Gpu(int(index), ", ".join(name), version, (int(major), int(minor)), int(total), int(used))


def _nvidia_smi(query: str) -> subprocess.CompletedProcess[str]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_ANSWER_S)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, _NOT_THERE, "", "no nvidia-smi")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {_ANSWER_S:g} s")
