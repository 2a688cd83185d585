"""What a candidate's graph says before any of it is run: its operations, TensorFlow, signatures and classes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from bundle.settings import Settings
from rollout.gate import operations as catalogue
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding
from rollout.gate.signatures import broken_promises
from rollout.gate.text import listed, shown
from rollout.gate.use import Use
from rollout.gate.version import Description

_LONGEST_PROBLEM = 400
_REMEDY = (
    "compute it with TensorFlow's operations (instead of tf.py_function, files or libraries) and write it anew; "
    "or, if you trust whoever made it, allow the operation with --allow-op"
)

_TAG = re.compile(r":(\d+\.\d+)")
_RELEASE = re.compile(r"(\d+)\.(\d+)")


def unambiguous(description: Description) -> Finding:
    """Whether every server that loads the version loads the graph that was looked at here."""
    if description.ambiguities:
        problems = [shown(each, _LONGEST_PROBLEM) for each in description.ambiguities]
        return Finding(
            "graph",
            "failed",
            listed(problems),
            "write it with one graph for serving: model.export(path), or tf.saved_model.save(module, path)",
        )
    return Finding("graph", "passed", "one graph is tagged for serving, and all that it names is there")


def operations(description: Description, allowance: Allowance = NOTHING) -> Finding:
    """Whether a server can run all operations, and none of them does anything but compute."""
    uses = [*_not_allowed(description), *(use for use in description.uses if use.why)]
    forbidden = [_told(use) for use in uses if use.operation not in allowance.operations]
    if forbidden:
        return Finding("operations", "failed", listed(forbidden), _REMEDY)
    if uses:
        return Finding("operations", "noted", f"{listed(list(map(_told, uses)))}; allowed by {allowance}")
    count = len(description.operations)
    return Finding("operations", "passed", f"{count} kinds, all of them on the list of what is allowed")


def _not_allowed(description: Description) -> Iterator[Use]:
    """Each operation that is not on the list, at the first node that holds it."""
    places = {use.operation: use for use in description.uses if not use.why}
    for name in description.operations:
        why = catalogue.why_not(name)
        if why:
            yield dataclasses.replace(places.get(name, Use(name, "")), why=why)


def _told(use: Use) -> str:
    node = f" at node {shown(use.node)}" if use.node else ""
    function = f" in function {shown(use.function)}" if use.function else ""
    return f"operation `{shown(use.operation)}`{node}{function} {shown(use.why, _LONGEST_PROBLEM)}"


def tensorflow(description: Description, settings: Settings) -> Finding:
    """Whether the server's TensorFlow is at least as new as the one that made the version; patch releases are alike."""
    server = _server_release(settings) or description.loaded_with
    made, serves = _RELEASE.match(description.made_with), _RELEASE.match(server)
    if made is None or serves is None:
        said = shown(description.made_with) or "nothing"
        return Finding("tensorflow", "noted", f"it does not say which TensorFlow made it (found {said})")
    if tuple(map(int, made.groups())) > tuple(map(int, serves.groups())):
        return Finding(
            "tensorflow",
            "failed",
            f"it was made with TensorFlow {shown(description.made_with)}, newer than the server's {server}",
            f"export it with TensorFlow {server}",
        )
    return Finding("tensorflow", "passed", f"made with {shown(description.made_with)}, the server has {server}")


def _server_release(settings: Settings) -> str | None:
    """What the tag of the server's image says; None for our engine, which has the TensorFlow of this installation."""
    image = {"gpu": settings.serving_gpu_image, "cpu": settings.serving_cpu_image}.get(settings.engine, "")
    tag = _TAG.search(image)
    return tag.group(1) if tag else None


def signatures(description: Description, live: Description | None, allow_change: bool) -> Finding:
    """Whether clients of the live version find everything that they use now."""
    names = ", ".join(map(shown, sorted(description.signatures)))
    if not names:
        return Finding("signatures", "failed", "it has no signature, so nobody can ask it", "export it with signatures")
    if live is None:
        return Finding("signatures", "passed", f"it has {names}; there is no live version to compare them with")
    problems = [shown(each, _LONGEST_PROBLEM) for each in broken_promises(description.signatures, live.signatures)]
    if not problems:
        return Finding("signatures", "passed", f"all that the live version has: {', '.join(sorted(live.signatures))}")
    if allow_change:
        return Finding("signatures", "noted", f"{'; '.join(problems)}; allowed by --allow-signature-change")
    remedy = "keep what clients use, or allow it with --allow-signature-change once they are ready"
    if any("keras_tensor" in each for each in problems):
        remedy += "; Keras numbers inputs that have no name: keras.Input(shape, name=...) keeps one"
    return Finding("signatures", "failed", "; ".join(problems), remedy)


def classes(own: Sequence[str], live: Sequence[str], allow_change: bool) -> Finding:
    """Whether a class index means the same as in the live version."""
    if list(own) == list(live):
        return Finding("classes", "passed", f"the live version's {len(own)}, in the same order")
    moved = [
        f"{n}: {shown(a)} instead of {shown(b)}" for n, (a, b) in enumerate(zip(own, live, strict=False)) if a != b
    ]
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
