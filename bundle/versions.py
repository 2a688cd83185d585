"""Version folders: which children of a base path are versions, and which number comes next.

The rules are TensorFlow Serving's: a child whose name parses as a 64-bit integer is a version, whatever it
holds. Anything else is not looked at, which is what makes dotted staging names safe.
"""

from __future__ import annotations

import re
from pathlib import Path

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_INT64 = range(-(2**63), 2**63)

HIGH_WATER = ".highest_version"
"""File in a base path that holds the highest number ever given out, so that numbers are not used twice."""


def parse_version(name: str) -> int | None:
    """The version number that a folder name stands for, or None when the server would not look at it."""
    if not _INTEGER.fullmatch(name):
        return None
    number = int(name)
    return number if number in _INT64 else None


def version_folders(base_path: Path) -> dict[int, Path]:
    """Version number to folder, ascending; of several names for one number the last in name order wins."""
    if not base_path.is_dir():
        return {}
    found: dict[int, Path] = {}
    for child in sorted(base_path.iterdir(), key=lambda path: path.name):
        number = parse_version(child.name)
        if number is not None:
            found[number] = child
    return dict(sorted(found.items()))


def quarantined_versions(quarantine: Path) -> set[int]:
    """Numbers of versions that were taken back: `<n>` or `<n>-<anything>` in the quarantine folder."""
    if not quarantine.is_dir():
        return set()
    numbers = (parse_version(child.name.split("-", 1)[0]) for child in quarantine.iterdir())
    return {number for number in numbers if number is not None}


def highest_ever(base_path: Path, quarantine: Path) -> int:
    """The highest number that is or was in use, 0 when none: on disk, in quarantine or given out before."""
    numbers = {0, *version_folders(base_path), *quarantined_versions(quarantine)}
    recorded = base_path / HIGH_WATER
    if recorded.is_file():
        numbers.add(parse_version(recorded.read_text(encoding="utf-8", errors="replace").strip()) or 0)
    return max(numbers)
