"""Taking a version down: after its last request, and so that its memory goes back to the system."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from serving import memory
from serving.version import Loaded

# The first requests of the next version need not wait for memory that nobody needs yet.
_SETTLE_S: Final = 2.0

log = logging.getLogger(__name__)


def start(loaded: Loaded, done: Callable[[], None]) -> threading.Thread:
    """Retire `loaded`, close it when its last request has ended, then call `done`; all of it in a thread."""
    loaded.retire()
    name = f"unload-{loaded.handle.model}-{loaded.handle.version}"
    thread = threading.Thread(target=_unload, args=(loaded, done), name=name, daemon=True)
    thread.start()
    return thread


def _unload(loaded: Loaded, done: Callable[[], None]) -> None:
    loaded.wait_idle()
    try:
        loaded.handle.servable.close()
    except Exception:
        log.exception(
            "Closing %s version %d failed; its memory may not be free",
            loaded.handle.model,
            loaded.handle.version,
        )
    done()
    del loaded
    time.sleep(_SETTLE_S)
    memory.release()
