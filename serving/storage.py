"""What is on disk: the versions in a base path, and whether the content of a folder has changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.versions import parse_version
from serving import sandbox
from serving.errors import Code, ServingError, not_found
from serving.policy import Specific, VersionPolicy

Fingerprint = int


@dataclass(frozen=True)
class Scan:
    """The versions found in a base path, with remarks worth a log line."""

    versions: Mapping[int, Path]
    remarks: tuple[str, ...] = ()


def scan(model: str, base_path: Path, policy: VersionPolicy) -> Scan:
    """Look at a base path; every child whose name parses as an integer is a version, whatever it holds.

    Raises ServingError when the base path is not there or cannot be listed.
    """
    try:
        names = [child.name for child in base_path.iterdir()]
    except OSError as error:
        reason = sandbox.why_not(base_path) if isinstance(error, PermissionError) else ""
        if reason:
            raise ServingError(Code.PERMISSION_DENIED, f"{base_path}; Permission denied: {reason}") from None
        raise _unreadable(model, base_path, error) from None
    found, remarks = _versions(base_path, names)
    if isinstance(policy, Specific):
        remarks += _missing(model, policy, found)
    elif not found:
        remarks.append(
            f"No versions of servable {model} found under base path {base_path}. Did you forget to name your"
            " leaf directory as a number (eg. '/1/')?"
        )
    return Scan(found, tuple(remarks))


def _unreadable(model: str, base_path: Path, error: OSError) -> ServingError:
    if isinstance(error, FileNotFoundError):
        reason = f"NOT_FOUND: {base_path} not found"
    else:
        reason = f"{base_path}; {error.strerror}"
    return not_found(f"Could not find base path {base_path} for servable {model} with error {reason}")


def _versions(base_path: Path, names: list[str]) -> tuple[dict[int, Path], list[str]]:
    found: dict[int, Path] = {}
    remarks = []
    for name in sorted(names):
        number = parse_version(name)
        if number is None:
            continue
        if number in found:
            remarks.append(
                f"Duplicate version directories detected. Version {number} will be loaded from {name},"
                f" {found[number].name} will be ignored."
            )
        found[number] = base_path / name
    return found, remarks


def _missing(model: str, policy: Specific, found: Mapping[int, Path]) -> list[str]:
    if not policy.versions:
        return [f"No specific versions requested for servable {model}."]
    return [
        f"Version {number} of servable {model}, which was requested to be served as a 'specific' version in"
        " the servable's version policy, was not found in the file system"
        for number in sorted(policy.versions - found.keys())
    ]


def fingerprint(folder: Path) -> Fingerprint:
    """Return a number that changes when a file in `folder` is added, removed, rewritten or made readable."""
    entries: list[tuple[str, int, int, int]] = []
    for parent, folders, files in os.walk(folder):
        for name in (*files, *folders, "."):
            path = Path(parent, name)
            try:
                status = path.stat()
            except OSError:
                continue
            size = status.st_size if name in files else 0
            entries.append((str(path), size, status.st_mtime_ns, status.st_ctime_ns))
    return hash(tuple(sorted(entries)))


def flush_caches(folder: Path) -> None:
    """Let the system drop the files of `folder` from its page cache: they have been read, and stay unread."""
    if not hasattr(os, "posix_fadvise"):
        return
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError), Path(parent, name).open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
