"""Whether there is room for a candidate: on the disk that it is copied to, and in memory beside the live version."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil

from bundle import files
from bundle.settings import Settings
from bundle.values import in_bytes
from rollout.gate.report import Finding

_SERVER_ALONE_BYTES = 600 << 20
"""What a server takes before it has loaded anything."""


def on_disk(candidate: Path, settings: Settings) -> Finding:
    """Whether the candidate's files fit beside those that are there."""
    size = files.size_in_bytes(candidate)
    if candidate.is_relative_to(settings.models_dir):
        detail = f"{size / 1e6:.1f} MB of files, which are in {settings.models_dir} already"
        return Finding("disk", "passed", detail, figures={"mb": size / 1e6})
    place = next(path for path in (settings.models_dir, *settings.models_dir.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    figures = {"mb": size / 1e6, "free_mb": free / 1e6}
    detail = f"{size / 1e6:.1f} MB of files; {free / 1e6:.0f} MB are free in {place}"
    if size > free:
        return Finding("disk", "failed", detail, "free some space there", figures)
    return Finding("disk", "passed", detail, figures=figures)


def in_memory(candidate_bytes: float, live_bytes: float, settings: Settings) -> Finding:
    """Whether a server can hold both versions while it goes over from one to the other."""
    available = psutil.virtual_memory().available
    figures = {"mb": candidate_bytes / 1e6, "live_mb": live_bytes / 1e6, "available_mb": available / 1e6}
    detail = f"it takes {candidate_bytes / 1e6:.0f} MB beside the live version's {live_bytes / 1e6:.0f} MB"
    if candidate_bytes > available:
        remedy = "end other programs, or serve it on a larger machine"
        return Finding("memory", "failed", f"{detail}; {available / 1e6:.0f} MB are available", remedy, figures)
    limit = in_bytes(settings.server_memory)
    if settings.engine != "local" and candidate_bytes + live_bytes + _SERVER_ALONE_BYTES > limit:
        over = f"{detail}; with the server itself that is more than SERVER_MEMORY={settings.server_memory}"
        if settings.engine == "auto":
            return Finding("memory", "noted", f"{over}, which counts for a server in a container", figures=figures)
        return Finding("memory", "failed", over, "raise SERVER_MEMORY", figures)
    return Finding("memory", "passed", f"{detail}; {available / 1e6:.0f} MB are available", figures=figures)
