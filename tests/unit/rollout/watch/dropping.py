"""What the tests of the drop watcher drop, and how they look at what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundle import manifest
from bundle.settings import Settings
from bundle.versions import version_folders
from rollout.watch import Watcher
from tests.unit.bundle.parts import make_version
from tests.unit.bundle.test_manifest import SAMPLE

REFUSED = b"refuse this one"

Start = Callable[[Settings], Watcher]


def numbers(base: Path) -> list[int]:
    return list(version_folders(base))


def reason(quarantine: Path, name: str) -> str:
    return (quarantine / f"{name}.reason.txt").read_text()


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def drop_whole(drop: Path, name: str) -> None:
    """Drop a version that its manifest proves whole."""
    with_manifest(make_version(drop.parent / f".{name[:8]}")).rename(drop / name)


def with_manifest(folder: Path) -> Path:
    manifest.write(folder, SAMPLE)
    return folder
