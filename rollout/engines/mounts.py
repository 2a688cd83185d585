"""Folders and files of this machine that containers are given, looked at before Docker meets them.

A container runs under the caller's uid and gid and without any capability: also one that root starts is held by the
modes of files, and a folder that only another group of the caller's may write is closed to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bundle.errors import BundleError
from rollout.engines.local import require_writable

_KNOWN_WEIGHTS = ("none", "imagenet")


def require_usable(folder: Path) -> None:
    """Make `folder` if it is missing; raise BundleError with the command that helps when containers cannot write it."""
    require_writable(folder)
    uid, gid, facts = os.getuid(), os.getgid(), folder.stat()
    needed = stat.S_IWUSR | stat.S_IXUSR
    if facts.st_uid != uid:
        needed >>= 3 if facts.st_gid == gid else 6
    if facts.st_mode & needed != needed:
        remedy = f"chmod u+rwx {folder}" if facts.st_uid == uid else f"sudo chown -R {uid}:{gid} {folder}"
        raise BundleError(
            f"{folder} belongs to uid {facts.st_uid}, gid {facts.st_gid}, mode {stat.S_IMODE(facts.st_mode):o}; "
            f"containers run as uid {uid}, gid {gid}, without root's privileges, and could not write there. "
            f"Run: {remedy}"
        )


def weights_options(weights: str, root: Path) -> list[str]:
    """Options of `docker compose run` that show the trainer a file with weights; none for the weights it knows."""
    if weights in _KNOWN_WEIGHTS:
        return []
    path = Path(os.path.abspath(root / Path(weights).expanduser()))  # noqa: PTH100 - resolve() would follow links
    if not path.is_file():
        raise BundleError(f"WEIGHTS={weights}: no such file; give none, imagenet, or a .weights.h5 file")
    inside = f"/weights/{path.name}"
    return ["--volume", f"{path}:{inside}:ro", "--env", f"WEIGHTS={inside}"]
