"""Waiting for the server with a deadline, and saying what it said when it does not get there."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from bundle.errors import BundleError
from rollout.client import Client, VersionStatus

PAUSE_S = 0.1


class LoadFailed(BundleError):
    """The server gave up on a version; the message holds its own error."""


def until_available(
    client: Client, model: str, version: int | None, timeout_s: float, alive: Callable[[], None]
) -> int:
    """The version of `model` that is AVAILABLE: `version`, or any when None.

    Raises LoadFailed when the server ends the version with an error, BundleError after `timeout_s`; `alive` is
    called in between and may raise to say that nobody is there to wait for.
    """
    deadline = time.monotonic() + timeout_s
    seen: list[VersionStatus] = []
    while time.monotonic() < deadline:
        alive()
        seen = _versions(client, model)
        for entry in seen:
            if entry.state == "AVAILABLE" and version in (None, entry.version):
                return entry.version
            if entry.version == version and entry.state == "END" and entry.error_code != "OK":
                raise LoadFailed(f"{model} version {version} did not load: {entry.error_code}: {entry.error_message}")
        time.sleep(PAUSE_S)
    wanted = f"version {version}" if version is not None else "a version"
    states = ", ".join(f"{entry.version} {entry.state}" for entry in seen) or "no version at all"
    raise BundleError(
        f"waited {timeout_s:g} s for {wanted} of {model} to become AVAILABLE; the server lists {states}. "
        "Look at: make logs"
    )


def until_gone(
    client: Client, model: str, versions: Collection[int], timeout_s: float, alive: Callable[[], None]
) -> None:
    """Return once the server has unloaded `versions`; raises BundleError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while left := {entry.version for entry in _versions(client, model) if entry.state != "END"} & set(versions):
        alive()
        if time.monotonic() > deadline:
            raise BundleError(f"waited {timeout_s:g} s for the server to let go of {model} version {min(left)}")
        time.sleep(PAUSE_S)


def _versions(client: Client, model: str) -> list[VersionStatus]:
    try:
        return client.versions(model)
    except BundleError:
        return []  # Its ports are not open yet.
