"""Take rights over files and TCP ports from this process for good: Linux's Landlock, which needs no privileges.

Landlock holds for the thread that asks for it and for all that it starts from then on, so it has to be asked for while
there is one thread. What the kernel is too old to forbid is left as it is, and named. Sizes, times and names of files
can still be asked for where the path is known: Landlock does not know these rights.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # The same numbers on every architecture.
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

# Bits of LANDLOCK_ACCESS_FS_*.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE, _MAKE_SOCKET = 1 << 4 | 1 << 5, sum(1 << bit for bit in range(6, 13)), 1 << 9
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_SINCE = {_EXECUTE | _WRITE_FILE | _REMOVE | _MAKE: 1, _REFER: 2, _TRUNCATE: 3, _IOCTL_DEVICE: 5}

_BIND_TCP, _CONNECT_TCP, _NET_SINCE = 1 << 0, 1 << 1, 4
_ABSTRACT_SOCKETS_AND_SIGNALS, _SCOPES_SINCE = 1 << 0 | 1 << 1, 6

# A file of /proc is found again under its rule only while somebody holds it.
_held: list[int] = []


@dataclasses.dataclass(frozen=True)
class Allowed:
    """What stays allowed; nothing else does.

    Reading is not restricted at all when `read` is None. A folder stands for all that lies below it; what is not there
    is left out. `listen` are TCP ports, 0 any port that the system picks; `sockets` are folders in which unix sockets
    may be made.
    """

    read: Iterable[Path] | None = None
    write: Iterable[Path] = ()
    sockets: Iterable[Path] = ()
    listen: Iterable[int] = ()


class _Ruleset(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def restrict(allowed: Allowed) -> list[str]:
    """Leave this thread, and every one that it starts, what `allowed` says; returns what could not be forbidden."""
    files = "writing files" if allowed.read is None else "reading and writing files"
    if sys.platform != "linux":
        return [f"{files} (only Linux can forbid it, this is {sys.platform})"]
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return [f"{files} (this kernel has no Landlock, or this container is kept from it)"]
    rules, unknown = _rules(version, allowed.read is not None)
    size = 8 if version < _NET_SINCE else 16 if version < _SCOPES_SINCE else 24
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if ruleset < 0:
        raise _last_error("landlock_create_ruleset")
    try:
        _add_rules(libc, ruleset, rules, allowed)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise _last_error("prctl")
        if libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)):
            raise _last_error("landlock_restrict_self")
    finally:
        os.close(ruleset)
    return unknown


def _rules(version: int, reads: bool) -> tuple[_Ruleset, list[str]]:
    """All that this kernel can forbid, and what it cannot."""
    rules = _Ruleset(handled_access_fs=sum(bits for bits, since in _SINCE.items() if version >= since))
    if reads:
        rules.handled_access_fs |= _READ_FILE | _READ_DIR
    unknown = []
    if not rules.handled_access_fs & _TRUNCATE:
        unknown.append("emptying files (this kernel's Landlock is too old)")
    if version >= _NET_SINCE:
        rules.handled_access_net = _BIND_TCP | _CONNECT_TCP
    if version >= _SCOPES_SINCE:
        rules.scoped = _ABSTRACT_SOCKETS_AND_SIGNALS
    return rules, unknown


def _add_rules(libc: ctypes.CDLL, ruleset: int, rules: _Ruleset, allowed: Allowed) -> None:
    for path in allowed.read or ():
        _allow(libc, ruleset, path, (_READ_FILE | _READ_DIR) & rules.handled_access_fs)
    for path in allowed.write:
        _allow(libc, ruleset, path, (_WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE) & rules.handled_access_fs)
    for path in allowed.sockets:
        _allow(libc, ruleset, path, _MAKE_SOCKET)
    for port in allowed.listen if rules.handled_access_net else ():
        rule = _NetPort(_BIND_TCP, port)
        if libc.syscall(_ADD_RULE, ruleset, _NET_PORT, ctypes.byref(rule), ctypes.c_uint32(0)):
            raise _last_error("landlock_add_rule")


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(beneath).st_mode):
        access &= _OF_FILES
    rule = _PathBeneath(access, beneath)
    refused = access and libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
    if path.parts[:2] in (("/", "proc"), ("/", "sys")):
        _held.append(beneath)
    else:
        os.close(beneath)
    if refused:
        raise _last_error(f"landlock_add_rule for {path}")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def threads() -> int:
    """How many threads this process has; 1 where nobody can tell."""
    with contextlib.suppress(OSError):
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    return 1
