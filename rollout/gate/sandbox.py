"""Shut a process in before it runs foreign code: it cannot write outside one folder, nor open connections any more.

A SavedModel is a program: its graph may hold operations that write files, open connections or end the process. Linux's
Landlock takes these rights from a process for good, and needs no privileges for it. What the kernel does not know is
left out and named.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # The same numbers on every architecture.
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

# Bits of LANDLOCK_ACCESS_FS_*: write_file, remove_dir, remove_file, and make_char to make_sym.
_CHANGE_FILES = 1 << 1 | 1 << 4 | 1 << 5 | sum(1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_BIND_AND_CONNECT_TCP = 1 << 0 | 1 << 1
_ABSTRACT_SOCKETS_AND_SIGNALS = 1 << 0 | 1 << 1

_NICENESS = 10
_LARGEST_FILE_BYTES = 64 << 20


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


def enter(scratch: Path, parent: int) -> list[str]:
    """Restrict this process and every thread it starts from now on; returns what could not be restricted.

    Only `scratch` stays writable. Call it while there is one thread. The process dies with `parent`, which started it.
    """
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    if sys.platform != "linux":
        return [f"writing files and opening connections, which only Linux can forbid (this is {sys.platform})"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # It went away before it could have been noticed.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # When memory runs out, this process goes first.
    return _landlock(libc, scratch)


def _landlock(libc: ctypes.CDLL, scratch: Path) -> list[str]:
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return ["writing files and opening connections (this kernel has no Landlock)"]
    rules = _Ruleset(handled_access_fs=_CHANGE_FILES)
    unknown = []
    if version >= 2:
        rules.handled_access_fs |= _REFER
    if version >= 3:
        rules.handled_access_fs |= _TRUNCATE
    if version >= 4:
        rules.handled_access_net = _BIND_AND_CONNECT_TCP
    else:
        unknown.append("opening TCP connections (this kernel's Landlock is too old)")
    if version >= 6:
        rules.scoped = _ABSTRACT_SOCKETS_AND_SIGNALS
    size = 8 if version < 4 else 16 if version < 6 else 24
    _apply(libc, rules, size, scratch)
    return unknown


def _apply(libc: ctypes.CDLL, rules: _Ruleset, size: int, scratch: Path) -> None:
    descriptor = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if descriptor < 0:
        raise _last_error("landlock_create_ruleset")
    try:
        _allow(libc, descriptor, scratch, rules.handled_access_fs)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise _last_error("prctl")
        if libc.syscall(_RESTRICT_SELF, descriptor, ctypes.c_uint32(0)):
            raise _last_error("landlock_restrict_self")
    finally:
        os.close(descriptor)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: Path, access: int) -> None:
    beneath = os.open(folder, os.O_PATH)
    try:
        rule = _PathBeneath(access, beneath)
        if libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)):
            raise _last_error("landlock_add_rule")
    finally:
        os.close(beneath)


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
