"""Signatures as data: whether a candidate keeps what the live version promises, and which one takes held-out images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

BYTES, PIXELS, LOGITS = "serving_bytes", "serving_default", "output_0"
"""What every version of ours answers: encoded images, pixels, and the output that the manifest holds logits of."""

_UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One input or output; a side of -1 is not known."""

    dtype: str
    any_rank: bool
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {'of any rank' if self.any_rank else list(self.shape)}"


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by alias."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Question:
    """Where held-out images go in and one number per class comes out."""

    signature: str
    output: str

    def __str__(self) -> str:
        return f"{self.output} of {self.signature}"


OURS = frozenset({Question(BYTES, LOGITS), Question(PIXELS, LOGITS)})
"""What a version of ours answers with one number per class, and clients rely on."""


def broken_promises(offered: Mapping[str, Signature], promised: Mapping[str, Signature]) -> list[str]:
    """What clients of the live version would miss, a sentence each; what a candidate adds is welcome."""
    problems = []
    for name, wanted in promised.items():
        if name not in offered:
            problems.append(f"signature {name} of the live version is missing; it has {_names(offered)}")
            continue
        problems += _changed(name, "input", offered[name].inputs, wanted.inputs)
        problems += _changed(name, "output", offered[name].outputs, wanted.outputs)
        extra = sorted(set(offered[name].inputs) - set(wanted.inputs))
        if extra:
            problems.append(f"signature {name} wants inputs that the live version does not: {', '.join(extra)}")
    return problems


def common(offered: Mapping[str, Signature], live: Mapping[str, Signature]) -> list[str]:
    """The signatures that both have with the same inputs, the best known first."""
    known = {BYTES: 0, PIXELS: 1}
    shared = [name for name in offered if name in live and offered[name].inputs == live[name].inputs]
    return sorted(shared, key=lambda name: (known.get(name, 2), name))


def takes_images(signature: Signature) -> bool:
    """Whether the one input is a vector of encoded images, or of pixels with three channels."""
    if len(signature.inputs) != 1:
        return False
    tensor = next(iter(signature.inputs.values()))
    if tensor.dtype == "DT_STRING":
        return tensor.any_rank or tensor.shape == (_UNKNOWN,)
    return len(tensor.shape) == 4 and tensor.shape[0] == _UNKNOWN and tensor.shape[3] == 3


def _changed(name: str, side: str, have: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    problems = []
    for alias, tensor in wanted.items():
        if have.get(alias) != tensor:
            found = have.get(alias, f"no such {side}, only {_names(have)}")
            problems.append(f"signature {name}, {side} {alias}: expected {tensor} as live, found {found}")
    return problems


def _names(things: Iterable[str]) -> str:
    return ", ".join(sorted(things)) or "none"
