"""The files in GATE_DIR through which a gate is asked from another process or container.

`<id>.request` and `<id>.answer` are JSON and appear in one step; `<id>.held-out` is there before its request, a copy of
the set to measure with, as the gate need not see where it is kept. `alive` is touched for as long as a gate looks after
the folder. Paths of versions must mean the same on both sides.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from pathlib import Path, PurePosixPath

from bundle import documents, files
from bundle.errors import UncheckedVersion
from bundle.settings import Settings
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding, Report

REQUEST, ANSWER, HELD_OUT, ALIVE = ".request", ".answer", ".held-out", "alive"
BEAT_S = 1.0
SILENCE_S = 15.0


class NoGate(UncheckedVersion):
    """Nobody looks after GATE_DIR: nothing was tried, and nothing is known about the candidate."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """The settings that decide about a candidate: those of the process that asks hold, not the gate's own."""

    model_name: str
    engine: str
    server_memory: str
    check_timeout_seconds: int
    check_memory: str
    min_accuracy: float
    max_accuracy_drop: float
    max_slowdown: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits in `settings`."""
        return cls(**{field.name: getattr(settings, field.name) for field in dataclasses.fields(cls)})

    def applied(self, settings: Settings) -> Settings:
        """`settings` with these limits."""
        return dataclasses.replace(settings, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be examined, and what it is compared with.

    `measure` is the version whose set it is measured with; `held_out` says that the set lies beside the request.
    """

    candidate: str
    live: str | None
    measure: str | None
    held_out: bool
    allow_signature_change: bool
    allow_unmeasured: bool
    limits: Limits
    allowance: Allowance = NOTHING

    def text(self) -> str:
        """The content of its file."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> Request:
        """The request in `path`; raises ValueError when it holds something else."""
        return documents.convert(json.loads(path.read_text(encoding="utf-8")), cls)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A report, with the files that were made for the candidate in base64 by their path in the version."""

    passed: bool
    reason: str
    findings: tuple[Finding, ...]
    made: dict[str, str]

    @classmethod
    def of(cls, report: Report) -> Answer:
        """The answer that carries `report`; its folder of made files is read, not removed."""
        paths = [path for path in report.made.rglob("*") if path.is_file()] if report.made else []
        made = {path.relative_to(report.made or path).as_posix(): _encoded(path) for path in paths}
        return cls(report.passed, report.reason, report.findings, made)

    def text(self) -> str:
        """The content of its file."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> Answer:
        """The answer in `path`; raises ValueError when it holds something else."""
        answer = documents.convert(json.loads(path.read_text(encoding="utf-8")), cls)
        for name in answer.made:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name} leads out of the version folder")
        return answer

    def report(self, folder: Path) -> Report:
        """The report, with its made files written into `folder`."""
        for name, content in self.made.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(base64.b64decode(content))
        return Report(self.passed, self.reason, self.findings, folder if self.made else None)


def is_there(settings: Settings) -> bool:
    """Whether a gate looks after GATE_DIR now, or none is needed."""
    return settings.gate_dir == "none" or time.time() - sign_of_life(settings.root / settings.gate_dir) < SILENCE_S


def sign_of_life(folder: Path) -> float:
    """When a gate last touched its file in `folder`, 0 when there is none."""
    try:
        return (folder / ALIVE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def put(folder: Path, name: str, content: str | bytes) -> None:
    """Write a file of the queue in one step."""
    files.write_atomically(folder / name, content)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
