"""Both ends of a gate that runs elsewhere, in compose in a container without network: ask it, and be it."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bundle import files
from bundle.errors import BundleError, UncheckedVersion
from bundle.settings import Settings
from rollout import interrupt
from rollout.gate import examination, queue
from rollout.gate.allowance import NOTHING, Allowance
from rollout.gate.report import Finding, Report

_LOOK_S = 0.1
_FORGET_S = 3600.0

log = logging.getLogger("gate")


def run(
    candidate: Path,
    live: Path | None,
    settings: Settings,
    allow_change: bool,
    allow_unmeasured: bool,
    allowance: Allowance = NOTHING,
    held_out: Path | None = None,
) -> Report:
    """The report of the gate that looks after GATE_DIR; raises NoGate when none does.

    Raises UncheckedVersion when it ends while it examines the candidate.
    """
    folder = settings.root / settings.gate_dir
    # A version is seen over there as well, and has its set with it.
    kept = held_out.read_bytes() if held_out is not None and held_out.is_file() else None
    request = queue.Request(
        str(candidate.absolute()),
        str(live.absolute()) if live else None,
        str(held_out.absolute()) if held_out is not None and kept is None else None,
        kept is not None,
        allow_change,
        allow_unmeasured,
        queue.Limits.of(settings),
        allowance,
    )
    name = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if kept is not None:
            queue.put(folder, name + queue.HELD_OUT, kept)
        queue.put(folder, name + queue.REQUEST, request.text())
        answer = _wait(folder, folder / (name + queue.ANSWER))
    finally:
        for suffix in (queue.REQUEST, queue.ANSWER, queue.HELD_OUT):
            (folder / (name + suffix)).unlink(missing_ok=True)
    return answer.report(Path(tempfile.mkdtemp(prefix="gate-made-"))) if answer.made else answer.report(folder)


def _wait(folder: Path, path: Path) -> queue.Answer:
    began = time.time()
    while not path.exists():
        interrupt.look_up()
        _require_gate(folder, began)
        time.sleep(_LOOK_S)
    try:
        return queue.Answer.read(path)
    except ValueError as error:
        raise BundleError(f"the gate in {folder} gave no answer that can be read: {error}") from error


def _require_gate(folder: Path, asked: float) -> None:
    """Raise when there was no sign of life for too long; a gate that begins beside us gets the time to."""
    sign = queue.sign_of_life(folder)
    if time.time() - max(sign, asked) <= queue.SILENCE_S:
        return
    if sign > asked:
        raise UncheckedVersion(
            f"it could not be checked: the gate that looked after {folder} (GATE_DIR) ended meanwhile; nothing was "
            "published; try again"
        )
    raise queue.NoGate(
        f"it could not be checked, and nothing was published: no gate looks after {folder} (GATE_DIR): start one with "
        f"`rollout gate-serve {folder}`, or set GATE_DIR=none to check here"
    )


class Gate:
    """Answers the requests in a folder, one after the other."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._settings = settings
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `serve` after the request at hand."""
        self._stopping.set()

    def serve(self) -> None:
        """Answer until `stop` is called."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alive():
            while not self._stopping.wait(_LOOK_S):
                for path in sorted(self._folder.glob(f"*{queue.REQUEST}"), key=lambda path: path.name):
                    self._answer(path)
                self._sweep()

    def _answer(self, path: Path) -> None:
        report = self._report(path)
        queue.put(self._folder, path.stem + queue.ANSWER, queue.Answer.of(report).text())
        path.unlink(missing_ok=True)
        if report.made is not None:
            files.remove(report.made)

    def _report(self, path: Path) -> Report:
        try:
            request = queue.Request.read(path)
        except (OSError, ValueError) as error:
            return Report.of([Finding("request", "failed", f"the gate cannot read what it was asked: {error}")])
        candidate, live = Path(request.candidate), Path(request.live) if request.live else None
        measure = Path(request.measure) if request.measure else None
        for folder in filter(None, (candidate, live, measure)):
            if not folder.is_dir():
                problem = f"the gate sees no folder {folder}"
                return Report.of([Finding("request", "failed", problem, "mount it there under the same path")])
        log.info("examining %s", candidate)
        settings = request.limits.applied(self._settings)
        held_out = path.with_suffix(queue.HELD_OUT) if request.held_out else measure
        allowed = (request.allow_signature_change, request.allow_unmeasured, request.allowance)
        try:
            report = examination.examine(candidate, live, settings, *allowed, held_out)
        except BundleError as error:
            return Report.of([Finding("request", "failed", str(error))])
        refused = report.reason if report.unchecked else f"is refused: {report.reason}"
        log.info("%s %s", candidate, "passed" if report.passed else refused)
        return report

    def _sweep(self) -> None:
        """Remove answers that nobody came for, and sets that their owner did not take away."""
        for path in (*self._folder.glob(f"*{queue.ANSWER}"), *self._folder.glob(f"*{queue.HELD_OUT}")):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _FORGET_S:
                    path.unlink()

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        """Show a sign of life every second, also while a candidate is examined."""
        over = threading.Event()

        def beat() -> None:
            while True:
                (self._folder / queue.ALIVE).touch()
                if over.wait(queue.BEAT_S):
                    return

        thread = threading.Thread(target=beat, name="gate-alive", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            (self._folder / queue.ALIVE).unlink(missing_ok=True)
