"""What a candidate's graph says before any of it is run: its operations, TensorFlow, signatures and classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bundle.settings import Settings
from rollout.gate.report import Finding
from rollout.gate.signatures import broken_promises
from rollout.gate.version import Description

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_HARMFUL = {
    "Abort": "ends the process",
    "WriteFile": "writes files",
    "CreateSummaryFileWriter": "writes files",
    "CreateSummaryDbWriter": "writes files",
    "SaveDataset": "writes files",
    "SaveDatasetV2": "writes files",
}
_TAG = re.compile(r":(\d+\.\d+)")
_RELEASE = re.compile(r"(\d+)\.(\d+)")


def operations(description: Description) -> Finding:
    """Whether a server can run all operations, and none of them is there to do harm."""
    python = sorted(_PYTHON.intersection(description.operations))
    harmful = [f"{name} ({_HARMFUL[name]})" for name in sorted(_HARMFUL) if name in description.operations]
    if python:
        return Finding(
            "operations",
            "failed",
            f"its graph calls back into the Python that made it ({', '.join(python)}), which no server can do",
            "replace tf.py_function and tf.numpy_function by TensorFlow operations and export again",
        )
    if harmful:
        return Finding(
            "operations",
            "failed",
            f"its graph holds operations that have no place in a server: {', '.join(harmful)}",
            "export it again without them",
        )
    return Finding("operations", "passed", f"{len(description.operations)} kinds, none of them forbidden")


def tensorflow(description: Description, settings: Settings) -> Finding:
    """Whether the server's TensorFlow is at least as new as the one that made the version; patch releases are alike."""
    server = _server_release(settings) or description.loaded_with
    made, serves = _RELEASE.match(description.made_with), _RELEASE.match(server)
    if made is None or serves is None:
        said = description.made_with or "nothing"
        return Finding("tensorflow", "noted", f"it does not say which TensorFlow made it (found {said})")
    if tuple(map(int, made.groups())) > tuple(map(int, serves.groups())):
        return Finding(
            "tensorflow",
            "failed",
            f"it was made with TensorFlow {description.made_with}, newer than the server's {server}",
            f"export it with TensorFlow {server}",
        )
    return Finding("tensorflow", "passed", f"made with {description.made_with}, the server has {server}")


def _server_release(settings: Settings) -> str | None:
    """What the tag of the server's image says; None for our engine, which has the TensorFlow of this installation."""
    image = {"gpu": settings.serving_gpu_image, "cpu": settings.serving_cpu_image}.get(settings.engine, "")
    tag = _TAG.search(image)
    return tag.group(1) if tag else None


def signatures(description: Description, live: Description | None, allow_change: bool) -> Finding:
    """Whether clients of the live version find everything that they use now."""
    names = ", ".join(sorted(description.signatures))
    if not names:
        return Finding("signatures", "failed", "it has no signature, so nobody can ask it", "export it with signatures")
    if live is None:
        return Finding("signatures", "passed", f"it has {names}; there is no live version to compare them with")
    problems = broken_promises(description.signatures, live.signatures)
    if not problems:
        return Finding("signatures", "passed", f"all that the live version has: {', '.join(sorted(live.signatures))}")
    if allow_change:
        return Finding("signatures", "noted", f"{'; '.join(problems)}; allowed by --allow-signature-change")
    remedy = "keep what clients use, or allow it with --allow-signature-change once they are ready"
    return Finding("signatures", "failed", "; ".join(problems), remedy)


def classes(own: Sequence[str], live: Sequence[str], allow_change: bool) -> Finding:
    """Whether a class index means the same as in the live version."""
    if list(own) == list(live):
        return Finding("classes", "passed", f"the live version's {len(own)}, in the same order")
    moved = [f"{n}: {a} instead of {b}" for n, (a, b) in enumerate(zip(own, live, strict=False)) if a != b]
    if len(own) != len(live):
        moved.append(f"{len(own)} classes instead of {len(live)}")
    what = f"a class index means something else than in the live version ({', '.join(moved[:5])})"
    if allow_change:
        return Finding("classes", "noted", f"{what}; allowed by --allow-signature-change")
    remedy = "export it with the classes in the same order, or allow it with --allow-signature-change"
    return Finding("classes", "failed", what, remedy)


def isolation(description: Description) -> Finding:
    """Whether the process that ran it could be shut in."""
    if description.unrestricted:
        what = "; ".join(description.unrestricted)
        return Finding("isolation", "noted", f"its process could not be kept from: {what}")
    return Finding("isolation", "passed", "its process could neither write outside its own folder nor open connections")
