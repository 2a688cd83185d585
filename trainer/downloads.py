"""What to say when something cannot be downloaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bundle.errors import BundleError


@contextlib.contextmanager
def downloading(what: str, instead: str) -> Iterator[None]:
    """Turn any failure of Keras's downloads inside the block into a BundleError that says what to do `instead`."""
    try:
        yield
    except Exception as error:  # Keras raises nothing more precise when a download fails.
        raise BundleError(f"cannot download {what}: {error}. Check this machine's network, or {instead}") from error
