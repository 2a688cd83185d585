"""What the tests of chaos share with those of the whole."""

from __future__ import annotations

from tests.e2e.conftest import trained

__all__ = ["trained"]
