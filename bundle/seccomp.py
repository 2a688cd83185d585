"""Take system calls from this process for good: Linux's seccomp, which needs no privileges.

It covers what Landlock does not know: new processes, connections of every kind, signals, modes and times of files. A
forbidden call fails with EPERM, one that has an older form with ENOSYS: the C library then takes that one.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
# All threads; and without the brake on speculation that older kernels put on whoever has a filter.
_ALL_THREADS, _SPECULATION = 1, 4

# Number on x86_64 and on aarch64, which lacks the older forms; those since 5.1 are the same everywhere.
_CALLS: dict[str, tuple[int, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "connect": (42, 203),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
}
_SPECIAL = ("clone", "clone3", "socket", "sendto", "sendmsg", "sendmmsg", "io_uring_setup", "kill", "tgkill")
_CLONE_THREAD = 0x00010000
_MSG_FASTOPEN = 0x20000000
_SOCK_TYPE_MASK, _SOCK_STREAM = 0xF, 1
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6

# Codes of the filter's machine: load a word, and it with a constant, jump, return.
_LOAD, _AND, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_X32 = 0x40000000

_WHAT = "starting processes, sending signals and opening connections"


@dataclasses.dataclass(frozen=True)
class _Step:
    """One instruction; `yes` and `no` are how many to leave out."""

    code: int
    value: int
    yes: int = 0
    no: int = 0

    def packed(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.yes, self.no, self.value)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def restrict(listens: bool) -> list[str]:
    """Forbid this process all that is named above; returns what could not be forbidden.

    With `listens` it may still make stream sockets, listen on them and accept; it connects to nobody in either case.
    """
    machine = platform.uname().machine
    if sys.platform != "linux" or machine not in _SECCOMP:
        return [f"{_WHAT} (nobody knows how on {sys.platform}, {machine})"]
    libc = ctypes.CDLL(None, use_errno=True)
    steps = b"".join(step.packed() for step in _filter(machine, listens, os.getpid()))
    program = _Program(len(steps) // 8, steps)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    flags = ctypes.c_uint32(_ALL_THREADS | _SPECULATION)
    if libc.syscall(_SECCOMP[machine], ctypes.c_uint32(_SET_MODE_FILTER), flags, ctypes.byref(program)):
        return [f"{_WHAT} (seccomp: {os.strerror(ctypes.get_errno())})"]
    return []


def _filter(machine: str, listens: bool, pid: int) -> Iterator[_Step]:
    column = 0 if machine == "x86_64" else 1
    numbers = {name: both[column] for name, both in _CALLS.items()}
    yield _Step(_LOAD, _ARCHITECTURE_AT)
    yield _Step(_EQUAL, _AUDIT_ARCH[machine], yes=1)
    yield _fail(errno.ENOSYS)  # The calls of 32-bit programs have other numbers.
    yield _Step(_LOAD, _NUMBER_AT)
    yield _Step(_AT_LEAST, _X32, no=1)
    yield _fail(errno.ENOSYS)
    for name, number in numbers.items():
        if number is not None:
            block = list(_special(name, listens, pid)) if name in _SPECIAL else [_fail(errno.EPERM)]
            yield _Step(_EQUAL, number, no=len(block))
            yield from block
    yield _Step(_RETURN, _ALLOW)


def _special(name: str, listens: bool, pid: int) -> Iterator[_Step]:
    """What becomes of a call that is forbidden in part, or fails in its own way."""
    if name in ("clone3", "io_uring_setup"):  # Their arguments are out of reach; there are older ways.
        yield _fail(errno.ENOSYS)
    elif name == "clone":
        yield from _unless(_argument(0), _Step(_ANY_BIT, _CLONE_THREAD, no=1), errno.EPERM)
    elif name in ("kill", "tgkill"):  # abort() sends itself a signal.
        yield from _unless(_argument(0), _Step(_EQUAL, pid, no=1), errno.EPERM)
    elif name == "socket":
        yield from _streams() if listens else (_fail(errno.EACCES),)
    else:  # Connecting by sending.
        yield _argument({"sendto": 3, "sendmsg": 2, "sendmmsg": 3}[name])
        yield _Step(_ANY_BIT, _MSG_FASTOPEN, no=1)
        yield _fail(errno.EACCES)
        yield _Step(_RETURN, _ALLOW)


def _streams() -> Iterator[_Step]:
    yield _argument(1)
    yield _Step(_AND, _SOCK_TYPE_MASK)
    yield _Step(_EQUAL, _SOCK_STREAM, yes=1)
    yield _fail(errno.EACCES)
    yield _argument(0)
    for left, family in zip(range(len(_FAMILIES), 0, -1), _FAMILIES, strict=True):
        yield _Step(_EQUAL, family, yes=left)
    yield _fail(errno.EACCES)
    yield _Step(_RETURN, _ALLOW)


def _unless(load: _Step, test: _Step, number: int) -> Iterator[_Step]:
    yield load
    yield test
    yield _Step(_RETURN, _ALLOW)
    yield _fail(number)


def _argument(index: int) -> _Step:
    return _Step(_LOAD, _ARGUMENTS_AT + 8 * index)  # Its lower half, on the little-endian machines named above.


def _fail(number: int) -> _Step:
    return _Step(_RETURN, _FAIL | number)
