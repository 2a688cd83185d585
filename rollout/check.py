"""Check a candidate in a process of its own: does it load, and does it keep the live version's signatures?

`python -m rollout.check CANDIDATE [LIVE]` prints one JSON object with the verdict. `run` starts it with a time
limit, so that a candidate that crashes or hangs takes nothing else with it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_LAST_LINES = 5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a candidate may be published, and if not, why."""

    passed: bool
    reason: str


def run(candidate: Path, live: Path | None, timeout_s: float) -> Verdict:
    """The verdict on `candidate`, found in a fresh process that is killed after `timeout_s`."""
    command = [sys.executable, "-m", "rollout.check", str(candidate), *([str(live)] if live else [])]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",  # It may print anything before it goes down.
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(False, f"it did not load and warm up within {timeout_s:g} s (CHECK_TIMEOUT_SECONDS)")
    try:
        return Verdict(**json.loads(answer.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = " | ".join(answer.stderr.strip().splitlines()[-_LAST_LINES:])
        return Verdict(
            False, f"the process that loaded it ended with status {answer.returncode}: {last or 'no output'}"
        )


def examine(candidate: Path, live: Path | None) -> Verdict:
    """Load `candidate` as the server would, warm it up, and compare its signatures with those of `live`."""
    from serving import servable
    from serving.errors import ServingError

    try:
        loaded = servable.load(candidate, servable.LoadOptions())
    except ServingError as error:
        return Verdict(False, f"it does not load: {error.code.name}: {error.message}")
    try:
        offered = {name: _shape_of(signature) for name, signature in loaded.signatures.items()}
    finally:
        loaded.close()
    problems = _broken_promises(offered, _signatures_on_disk(live)) if live else []
    return Verdict(not problems, "; ".join(problems))


Signature = dict[str, dict[str, str]]


def _shape_of(signature: Any) -> Signature:
    """Inputs and outputs of a SignatureDef, each alias with its dtype and shape as text."""
    return {
        "input": {alias: _tensor(info) for alias, info in signature.inputs.items()},
        "output": {alias: _tensor(info) for alias, info in signature.outputs.items()},
    }


def _tensor(info: Any) -> str:
    from tensorflow.core.framework import types_pb2

    shape = info.tensor_shape
    size = "of any rank" if shape.unknown_rank else str([int(dim.size) for dim in shape.dim])
    return f"{types_pb2.DataType.Name(info.dtype)} {size}"


def _broken_promises(offered: dict[str, Signature], promised: dict[str, Signature]) -> list[str]:
    """What clients of the live version would miss; what a candidate adds is welcome."""
    problems = []
    for name, wanted in promised.items():
        if name not in offered:
            problems.append(f"signature {name} of the live version is missing; it has {', '.join(sorted(offered))}")
            continue
        for side in ("input", "output"):
            have = offered[name][side]
            for alias, tensor in wanted[side].items():
                if have.get(alias) != tensor:
                    found = have.get(alias, f"no such {side}, only {', '.join(sorted(have)) or 'none'}")
                    problems.append(f"signature {name}, {side} {alias}: expected {tensor} as live, found {found}")
        extra = sorted(set(offered[name]["input"]) - set(wanted["input"]))
        if extra:
            problems.append(f"signature {name} wants inputs that the live version does not: {', '.join(extra)}")
    return problems


def _signatures_on_disk(version_folder: Path) -> dict[str, Signature]:
    """Signatures of a version that is served already, read without loading it."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((version_folder / "saved_model.pb").read_bytes())
    serving = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags] or list(model.meta_graphs)
    return {
        name: _shape_of(signature)
        for name, signature in serving[0].signature_def.items()
        if not name.startswith("__saved_model")
    }


def main() -> int:
    """Print the verdict on the candidate named on the command line."""
    candidate, *live = map(Path, sys.argv[1:])
    verdict = examine(candidate, live[0] if live else None)
    sys.stdout.write("\n" + json.dumps(dataclasses.asdict(verdict)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
