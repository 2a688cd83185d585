"""Giving memory that is not used any more back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc


def release() -> None:
    """Collect what only cycles keep alive, and give free heap pages back; no other Python runs meanwhile."""
    gc.collect()
    trim()


def trim() -> None:
    """Give free heap pages back to the system."""
    with contextlib.suppress(AttributeError, OSError):  # other C libraries than glibc
        ctypes.CDLL(None).malloc_trim(0)
