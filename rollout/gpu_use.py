"""Does the server compute on a GPU, or did TensorFlow fall back to the CPU without a word?"""

from __future__ import annotations

import re

from rollout import gpu
from rollout.engines.compose import ComposeEngine

_CREATED = re.compile(r"Created device \S*GPU:\d+ .*")


def evidence(engine: ComposeEngine) -> str:
    """What shows that the server computes on a GPU; an empty text when nothing does.

    nvidia-smi says it best, but names no processes inside WSL; then TensorFlow's log says which device it made.
    """
    memory = gpu.memory_of_processes()
    for pid in sorted(engine.server_pids() & set(memory)):
        return f"process {pid} holds {memory[pid]} MiB of GPU memory"
    found = _CREATED.search(engine.server_log())
    return found[0] if found else ""
