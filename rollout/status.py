"""`rollout status`: what is served, what is on disk, what waits in drop, what is in quarantine and why."""

from __future__ import annotations

from pathlib import Path

from bundle import manifest, output, pins
from bundle.errors import BundleError
from bundle.models_config import base_paths
from bundle.settings import Settings
from bundle.text import printable
from bundle.versions import version_folders
from rollout import stack, stacking, trainings
from rollout.candidate import Wholeness, examine
from rollout.client import Client, VersionStatus
from rollout.drop import CLAIM_PREFIX
from rollout.engines.base import Engine
from rollout.model import Model
from rollout.observe import counters
from rollout.postponed import Postponements
from rollout.service import Period, periods
from rollout.trouble import in_words

_REASON_SUFFIX = ".reason.txt"
_WIDTH = 100
# The server answers about its status from memory, however busy it is.
_PATIENCE_S = 2.0


def show(settings: Settings) -> int:
    """Print the state of every model; exit status 0 when the stack runs, 1 when it does not."""
    engine = stack.running(settings)
    client = _that_answers(engine) if engine else None
    settings = engine.settings if engine else settings
    where = f"{engine.client().rest_url}, gRPC port {settings.grpc_port}" if engine else "nothing is running"
    output.line(f"engine: {engine.name} at {where}" if engine else f"{where}; run: make up")
    for sentence in engine.what_is_wrong() if engine else []:
        output.warn(sentence)
    listed = base_paths(settings.root / "models.config", settings.models_dir)
    for name, base_path in listed.items():
        _show_model(Model(name, base_path, settings, client))
        _show_trainings(Model(name, base_path, settings, client))
        _show_waiting(settings.drop_dir / name)
        _show_quarantine(settings.quarantine_dir / name)
    _show_strays(settings.drop_dir, set(listed))
    for folder in trainings.kept_in_runs(settings.runs_dir):
        output.line(f"\n{folder} is a training that was not staged; publish it: make publish FROM={folder}")
    return 0 if engine else 1


def _that_answers(engine: Engine) -> Client | None:
    """A client of the server, or None with a warning: one that does not answer is not asked again and again."""
    client = engine.client().within(_PATIENCE_S)
    try:
        client.versions(engine.settings.model_name)
    except BundleError as error:
        output.warn(f"{error}; what follows is from the disk")
        return None
    return client


def _show_model(model: Model) -> None:
    output.line(f"\n{model.name}")
    folders = version_folders(model.base_path)
    reported = {entry.version: entry for entry in _reported(model.client, model.name)}
    named = _labels(model)
    live = _periods(model)
    stacked = stacking.told(model.client, model.name)
    for number in sorted({*folders, *reported}, reverse=True):
        if number < 0 and number not in folders:
            continue  # A canary that has ended; the server lists it until it stops.
        entry = reported.get(number)
        state = _state(entry, number in folders) + named.get(number, "")
        output.line(f"  version {number:<6} {state:<24} {_facts(folders.get(number))}")
        if number in live:
            output.line(f"    {_in_words(live[number])}")
        for line in stacked.get(number, ()):
            output.line(f"    {line}")
        if entry and entry.error_message:
            output.line(f"    {entry.error_code}: {entry.error_message[:_WIDTH]}")
    if not folders and not reported:
        output.line(f"  no version in {model.base_path}; run: make train")


def _labels(model: Model) -> dict[int, str]:
    found = pins.read(model.config, model.name)
    return {number: f", {label}" for label, number in found.labels.items()} if found else {}


def _periods(model: Model) -> dict[int, Period]:
    try:
        return periods(model.ledger.entries(), counters(model))
    except BundleError as error:
        output.warn(str(error))
        return {}


def _in_words(period: Period) -> str:
    requests = period.requests
    when = f"live since {_time(period.since)}" if not period.until else f"live until {_time(period.until)}"
    if not requests.answered + requests.failed:
        return when
    return (
        f"{when}: {requests.answered + requests.failed} requests, {requests.failed} failed, "
        f"p50 {requests.quantile_ms(0.5):.3g} ms, p99 {requests.quantile_ms(0.99):.3g} ms"
    )


def _time(text: str) -> str:
    return text[:19].replace("T", " ")


def _reported(client: Client | None, model: str) -> list[VersionStatus]:
    try:
        return client.versions(model) if client else []
    except BundleError as error:
        output.warn(str(error))
        return []


def _state(entry: VersionStatus | None, on_disk: bool) -> str:
    state = entry.state if entry else "not loaded"
    return state if on_disk else f"{state}, not on disk"


def _facts(folder: Path | None) -> str:
    if folder is None:
        return ""
    try:
        document = manifest.read(folder)
    except BundleError as error:
        return f"unreadable manifest: {error}"
    if document is None:
        return "no manifest"
    return f"{document.model_type}, test accuracy {document.test_accuracy:.4f}, {document.created}"


def _show_trainings(model: Model) -> None:
    for name in trainings.staged(model.base_path):
        folder = trainings.folder_of(model.base_path, name)
        why = trainings.why_waiting(model, name)
        output.line(f"  trained           {name}: {why}; to release it now: make publish FROM={folder}")


def _show_waiting(folder: Path) -> None:
    notes = Postponements(folder).all()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(CLAIM_PREFIX):
            output.line(f"  being checked     {printable(path.name.removeprefix(CLAIM_PREFIX))}")
        elif not path.name.startswith("."):
            note = notes.get(path.name)
            output.line(
                f"  in drop           {printable(path.name)}: {note.in_words() if note else _why_waiting(path)}"
            )


def _why_waiting(entry: Path) -> str:
    """What a dropped entry waits for, as far as a look at it tells."""
    try:
        finding = examine(entry, checksums=False)
    except Exception as error:  # noqa: BLE001 - what lies there is anybody's, and the others are to be shown
        return in_words(error)
    if finding.wholeness is Wholeness.INCOMPLETE:
        return f"waits until it is whole: {finding.problem}"
    return "whole; waits until nobody writes to it any more, or for its turn"


def _show_quarantine(folder: Path) -> None:
    for reason in sorted(folder.glob(f"*{_REASON_SUFFIX}")) if folder.is_dir() else []:
        text = reason.read_text(encoding="utf-8", errors="replace").strip()
        output.line(f"  in quarantine     {reason.name.removesuffix(_REASON_SUFFIX)}: {text[:_WIDTH]}")


def _show_strays(drop_dir: Path, listed: set[str]) -> None:
    for path in sorted(drop_dir.iterdir()) if drop_dir.is_dir() else []:
        if path.name not in listed and not path.name.startswith("."):
            output.line(f"\n{printable(str(path))} is left alone: models.config lists no model {printable(path.name)}")
