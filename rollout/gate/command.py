"""`rollout check`: what the gate says about a folder; and `rollout gate-serve`: be the gate that others ask."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path

from bundle import files, output
from bundle.errors import RefusedVersion, UncheckedVersion, UsageError
from bundle.settings import Settings
from bundle.text import log_to_stderr
from rollout import candidate, gate, yardstick
from rollout import model as models


@dataclasses.dataclass(frozen=True)
class Asked:
    """The command line of `rollout check`; without `live` the version that is served now is compared with."""

    path: Path
    live: Path | None = None
    as_json: bool = False
    page: Path | None = None
    allow_signature_change: bool = False
    allow_unmeasured: bool = False
    allow_ops: tuple[str, ...] = ()


def check(settings: Settings, asked: Asked) -> int:
    """Print the report on a folder; exit status 0 when it would be published, that of RefusedVersion when not.

    When it could not be finished it is that of UncheckedVersion: a person tries again when he thinks fit.
    """
    folder = candidate.locate(asked.path)
    if folder is None:
        raise UsageError(f"{asked.path}: {candidate.examine(asked.path).problem}")
    if asked.live is not None and not (asked.live / "saved_model.pb").is_file():
        raise UsageError(f"{asked.live} holds no saved_model.pb; --live takes the folder of one version")
    model = models.find(settings)
    live = asked.live or model.live_folder()
    report = gate.run(
        folder,
        live,
        settings,
        allow_signature_change=asked.allow_signature_change,
        allow_unmeasured=asked.allow_unmeasured,
        allow_ops=asked.allow_ops,
        held_out=yardstick.find(model, live),
    )
    if report.made is not None:
        files.remove(report.made)
    if asked.page is not None:
        from rollout.gate import page

        files.write_atomically(asked.page, page.html(report, folder, live))
    if asked.as_json:
        output.line(json.dumps(report.document(), indent=1))
    else:
        _print(report, folder, live, asked.page)
    if report.unchecked:
        return UncheckedVersion.exit_status
    return 0 if report.passed else RefusedVersion.exit_status


def serve(settings: Settings, folder: Path) -> int:
    """Answer the requests in `folder` until SIGTERM or Ctrl-C; exit status 0."""
    from rollout.gate.remote import Gate

    log_to_stderr()
    served = Gate(folder, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: served.stop())
    served.serve()
    return 0


def _print(report: gate.Report, folder: Path, live: Path | None, page: Path | None) -> None:
    output.line(f"{folder}, compared with {live or 'nothing: there is no live version'}")
    output.line()
    for line in report.table():
        output.line(line)
    output.line()
    if page is not None:
        output.line(f"as a page: {page}")
    if report.passed:
        output.line("It would be published. Do it: make publish FROM=" + str(folder))
    elif report.unchecked:
        output.fail(report.reason)
    else:
        output.fail(f"it would be refused: {report.reason}")
