"""What is done about an entry that something goes wrong with: tried again with growing pauses, or refused.

What the file system will never allow is refused at once. What may pass, a full disk for one, is tried again for a
while. Anything else is a fault of ours that the entry brings out: a second time in the same place, it is refused.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import time
import traceback
from collections.abc import Hashable

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_FOR_GOOD = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EILSEQ,
        errno.EINVAL,
        errno.EMLINK,
        errno.EFBIG,
        errno.EOVERFLOW,
    }
)


@dataclasses.dataclass
class Trouble:
    """What goes wrong, since when, and when it is tried again."""

    since: float
    reason: str
    place: Hashable
    due: float
    pause_s: float = _FIRST_PAUSE_S

    @classmethod
    def after(cls, error: Exception, before: Trouble | None) -> Trouble:
        """The trouble that `error` is, after the one that the entry had before."""
        now = time.monotonic()
        pause_s = min(before.pause_s * 2, _LONGEST_PAUSE_S) if before else _FIRST_PAUSE_S
        return cls(before.since if before else now, in_words(error), _place(error), now + pause_s, pause_s)

    def has_to_wait(self) -> bool:
        """Whether its pause is not over."""
        return time.monotonic() < self.due


def is_final(error: Exception, before: Trouble | None, patience_s: float) -> bool:
    """Whether another try is in vain."""
    if not isinstance(error, OSError):
        return before is not None and before.place == _place(error)
    return error.errno in _FOR_GOOD or (before is not None and time.monotonic() - before.since >= patience_s)


def in_words(error: Exception) -> str:
    """What went wrong, for people."""
    if not isinstance(error, OSError):
        return f"it brings out a fault of the watcher: {type(error).__name__}: {error} ({_place(error)})"
    what = error.strerror or str(error)
    # The name may be the number of an open folder.
    where = f" at {os.fsdecode(error.filename)}" if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{what}{where}; the watcher is uid {os.getuid()}: give it the rights (chmod, chown) and drop it again"
    return f"{what}{where}"


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return "".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in last)  # noqa: PTH119
