"""The stack that is running: which engine, on which ports, over which folders.

`make up REST_PORT=9501` is remembered in `.run/stack.json`, so that the commands after it need not be told again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle import files
from bundle.errors import UsageError
from bundle.settings import Settings
from rollout.engines.base import Engine
from rollout.engines.choose import build

_REMEMBERED = ("bind", "rest_port", "grpc_port", "models_dir", "drop_dir", "quarantine_dir", "releases_dir", "project")


def remember(engine: Engine) -> None:
    """Write down what was started."""
    document = {name: _plain(getattr(engine.settings, name)) for name in _REMEMBERED}
    path = _record(engine.settings)
    path.parent.mkdir(exist_ok=True)
    files.write_atomically(path, json.dumps({"engine": engine.name, **document}, indent=1) + "\n")


def forget(settings: Settings) -> None:
    """Remove the record: nothing is running."""
    _record(settings).unlink(missing_ok=True)


def remembered(settings: Settings) -> Engine | None:
    """The engine that was started last and not stopped since, with its own ports and folders; it may have died."""
    try:
        document = json.loads(_record(settings).read_text(encoding="utf-8"))
        values: dict[str, Any] = {name: _typed(document[name], getattr(settings, name)) for name in _REMEMBERED}
        return build(document["engine"], dataclasses.replace(settings, **values))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running(settings: Settings) -> Engine | None:
    """The engine that is running now, or None."""
    engine = remembered(settings)
    return engine if engine is not None and engine.is_running() else None


def require_same_folders(settings: Settings, engine: Engine) -> None:
    """Raise UsageError for a folder that was given for this call and is not the one of what runs."""
    for name in (each for each in _REMEMBERED if each.endswith("_dir")):
        given, used = getattr(settings, name), getattr(engine.settings, name)
        if os.environ.get(name.upper()) and given != used:
            raise UsageError(
                f"{name.upper()}={given}: what runs has {used}; leave it out, or stop that first: make down"
            )


@contextlib.contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Let only one command at a time start or stop things."""
    folder = _record(settings).parent
    folder.mkdir(exist_ok=True)
    with files.lock(folder / "lock"):
        yield


def _record(settings: Settings) -> Path:
    return settings.root / ".run" / "stack.json"


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _typed(value: object, like: object) -> object:
    return Path(str(value)) if isinstance(like, Path) else value
