"""The whole table: importing the modules of rules fills it."""

from __future__ import annotations

from serving.batching.rows import axes, elementwise, flow, layers, parts, shapes, sources
from serving.batching.rows.registry import FOR_BLOCKS, FOR_SIZES, KINDS, RULES, Kind

MODULES = (elementwise, layers, axes, parts, shapes, sources, flow)

__all__ = ["FOR_BLOCKS", "FOR_SIZES", "KINDS", "MODULES", "RULES", "Kind"]
