"""What trainer and server agree about pictures."""

from __future__ import annotations

from typing import Final

MAX_PIXELS: Final = 1 << 26
"""The most that the embedded engine decodes for one picture: 8192 x 8192, 200 MB as RGB bytes and 800 MB as floats."""
