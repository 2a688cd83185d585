"""Rules of what joins operations: calls of functions, checks, and the order of operations."""

from __future__ import annotations

from collections.abc import Sequence

from serving.batching.rows.registry import kind
from serving.batching.rows.values import Call, Value


@kind("function call", "Its body is followed.", "PartitionedCall", "StatefulPartitionedCall", sizes=True)
def _function_call(call: Call) -> Sequence[Value]:
    return call.follow(call.attr("f").func.name, call.inputs)


@kind("check", "Its condition is the same for all rows.", "Assert", sizes=True)
def _check(call: Call) -> Sequence[Value]:
    call.require_fixed(0)
    return []


@kind("order", "It computes nothing.", "NoOp", sizes=True)
def _order(_: Call) -> Sequence[Value]:
    return []
