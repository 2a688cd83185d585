"""What becomes of memory that is free: it is kept for the next request, or goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap

# glibc's own limits for what it finds out by itself, and its numbers for them.
_TRIM_THRESHOLD, _KEPT_BYTES = -1, 64 << 20
_MMAP_THRESHOLD, _LARGEST_BLOCK = -3, 32 << 20


def keep_free_pages() -> None:
    """Have glibc keep free pages at the end of its heaps, as it does by itself after a large block was freed.

    Before that it depends on where blocks happen to lie whether a request of a megabyte gets its memory anew from the
    system, page by page, which takes as long as reading it.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def discard(block: bytearray) -> None:
    """Give the pages of a block, whose content is lost, back to the system; other threads run meanwhile.

    Freeing a block of 256 MB takes 40 ms, in which no other Python runs. Freeing it after this takes next to nothing.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        first = ctypes.addressof((ctypes.c_char * len(block)).from_buffer(block))
        start, end = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, (first + len(block)) // mmap.PAGESIZE * mmap.PAGESIZE
        if start < end:
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def release() -> None:
    """Collect what only cycles keep alive, and give free heap pages back; no other Python runs meanwhile."""
    gc.collect()
    trim()


def trim() -> None:
    """Give free heap pages back to the system."""
    with contextlib.suppress(AttributeError, OSError):  # other C libraries than glibc
        ctypes.CDLL(None).malloc_trim(0)
