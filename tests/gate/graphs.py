"""The graph of a version as the gate sees it, and a way to change it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from bundle import documents
from rollout.gate import graph
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding
from rollout.gate.subject import Subject
from rollout.gate.version import Description

SECRET = "/etc/hostname"
"""What each graph of these tests reads, or tries to write, though it is none of its own files."""


def described(folder: Path) -> Description:
    return documents.convert(Subject(folder).describe(), Description)


def operations(folder: Path, allowance: Allowance = NOTHING) -> Finding:
    return graph.operations(described(folder), allowance)


@contextlib.contextmanager
def edited(folder: Path) -> Iterator[Any]:
    """The MetaGraphDef of a version, written back at the end of the block."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield model.meta_graphs[0]
    path.write_bytes(model.SerializeToString())
