"""Waiting for the server with a deadline, and saying what was seen of it when it does not get there.

NotSeen             what was waited for was not seen; whether it is so is not known
|-- NotThere        nothing listens at the server's address
|-- NotAnswering    something takes connections there, and gives no answer
`-- OutOfTime       the server answers, and says something else
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TypeVar

from bundle.errors import BundleError
from rollout.client import STATUS_TIMEOUT_S, Client, NothingListens, Unreachable, VersionStatus

PAUSE_S = 0.1

_T = TypeVar("_T")


class LoadFailed(BundleError):
    """The server gave up on a version; the message holds its own error."""


class NotSeen(BundleError):
    """What was waited for was not seen."""


class NotThere(NotSeen):
    """Nothing listens at the server's address."""


class NotAnswering(NotSeen):
    """The server takes connections and does not answer."""


class OutOfTime(NotSeen):
    """The server answers, but what was waited for did not come."""


class NotYet(Exception):
    """Raised by a condition that does not hold yet; the text says what the server says instead."""


def poll(condition: Callable[[], _T], timeout_s: float, what: str, alive: Callable[[], None] = lambda: None) -> _T:
    """What `condition` returns once it does; until then it raises NotYet or Unreachable.

    Raises NotSeen after `timeout_s`, in the kind that says what was seen last. `alive` is called in between and may
    raise to say that nobody is there to wait for.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        alive()
        try:
            return condition()
        except (NotYet, Unreachable) as error:
            if time.monotonic() >= deadline:
                raise _not_seen(error, timeout_s, what) from error
        time.sleep(PAUSE_S)


def until_available(
    client: Client, model: str, version: int | None, timeout_s: float, alive: Callable[[], None]
) -> int:
    """The version of `model` that is AVAILABLE: `version`, or any when None.

    Raises LoadFailed when the server ends the version with an error, NotSeen after `timeout_s`.
    """

    def available() -> int:
        listed = _versions(client, model)
        for entry in listed:
            if entry.state == "AVAILABLE" and version in (None, entry.version):
                return entry.version
            if entry.version == version and entry.state == "END" and entry.error_code != "OK":
                raise LoadFailed(f"{model} version {version} did not load: {entry.error_code}: {entry.error_message}")
        raise NotYet(_listing(listed))

    wanted = f"version {version}" if version is not None else "a version"
    return poll(available, timeout_s, f"{wanted} of {model} to become AVAILABLE", alive)


def until_gone(
    client: Client, model: str, versions: Collection[int], timeout_s: float, alive: Callable[[], None]
) -> None:
    """Return once the server has said that it has unloaded `versions`; raises NotSeen after `timeout_s`."""

    def gone() -> None:
        listed = _versions(client, model)
        if {entry.version for entry in listed if entry.state != "END"} & set(versions):
            raise NotYet(_listing(listed))

    named = " and ".join(map(str, sorted(versions)))
    poll(gone, timeout_s, f"version {named} of {model} to be unloaded", alive)


def why_not_seen_gone(
    client: Client | None, model: str, versions: Collection[int], timeout_s: float, alive: Callable[[], None]
) -> str:
    """Why nobody saw that the server has unloaded `versions`; an empty text when it said so, or there is no server."""
    try:
        if client is not None:
            until_gone(client, model, versions, timeout_s, alive)
    except BundleError as error:
        return str(error)
    return ""


def _versions(client: Client, model: str) -> list[VersionStatus]:
    try:
        return client.within(STATUS_TIMEOUT_S).versions(model)
    except Unreachable:
        raise
    except BundleError as error:  # It may be another program, or the server may be out of order.
        raise NotYet(str(error)) from error


def _listing(listed: list[VersionStatus]) -> str:
    states = ", ".join(f"{entry.version} {entry.state}" for entry in listed) or "no version at all"
    return f"the server lists {states}"


def _not_seen(error: NotYet | Unreachable, timeout_s: float, what: str) -> NotSeen:
    waited = f"waited {timeout_s:g} s for {what}"
    if isinstance(error, NothingListens):
        return NotThere(f"{waited}; {error}")
    if isinstance(error, Unreachable):
        return NotAnswering(f"{waited}; {error}")
    return OutOfTime(f"{waited}; {error}. Look at: make logs")
