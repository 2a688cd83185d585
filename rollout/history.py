"""`rollout history`: what happened to the versions of a model, from its ledger."""

from __future__ import annotations

import dataclasses
import json

from bundle import output
from bundle.settings import Settings
from rollout import ledger, stack
from rollout.ledger import Entry

_DETAIL_WIDTH = 200


def show(settings: Settings, as_json: bool) -> int:
    """Print the ledger of MODEL_NAME, oldest first; exit status 0 also when it is empty."""
    engine = stack.remembered(settings)  # Whether it runs would take a question to Docker, and changes nothing here.
    book = ledger.of(engine.settings if engine else settings, settings.model_name)
    entries = book.entries()
    if as_json:
        output.line(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=1, ensure_ascii=False))
        return 0
    if not entries:
        output.line(f"nothing happened to {settings.model_name} yet: {book.path} is not there or empty")
    for entry in entries:
        output.line(_line(entry))
    return 0


def _line(entry: Entry) -> str:
    when = entry.time[:19].replace("T", " ")
    version = "-" if entry.version is None else str(entry.version)
    passed = sum(verdict == "passed" for verdict in entry.verdicts.values())
    checks = [f"{passed} checks passed"] if entry.verdicts else []
    for wanted in ("failed", "unchecked"):
        found = [name for name, verdict in entry.verdicts.items() if verdict == wanted]
        checks += [f"{wanted}: {', '.join(found)}"] if found else []
    detail = "; ".join(
        part for part in (f"{entry.origin} {entry.training}".strip(), ", ".join(checks), entry.reason) if part
    )
    return f"{when}  {version:>5}  {entry.event:<11}  {entry.who:<24}  {detail[:_DETAIL_WIDTH]}".rstrip()
