"""Whether a signature answers a row alone as it does in company: one by one, in threes and sixteens, and once more.

Runs in the worker, beside the version, and says what differs; what that means is decided by its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rollout.gate import facts
from rollout.gate.facts import Answer, Array
from rollout.gate.inputs import Feed, Stock

COUNT = 16
"""Rows that are asked, and the largest batch."""

_THREE = 3
_ORDER = tuple(7 * n % COUNT for n in range(COUNT + 2))
"""Every row, far from those that it stands beside elsewhere; two come twice, so that threes use all of them up."""

Run = Callable[[Feed], Answer]


def mix(run: Run, stock: Stock, outputs: dict[str, Any]) -> dict[str, Any]:
    """What is found of each output, by its alias; `outputs` is how the signature declares them."""
    batches = _batches(stock.count)
    answers = [(members, run(stock.pick(members))) for members in batches]
    # The one alone and the largest batch again: equal requests.
    again = [(n, run(stock.pick(batches[n]))) for n in (0, len(batches) - 1)]
    return {
        alias: _facts(
            info,
            [(members, answer[alias]) for members, answer in answers],
            [(answers[n][1][alias], answer[alias]) for n, answer in again],
        )
        for alias, info in outputs.items()
    }


def _batches(count: int) -> list[list[int]]:
    alone = [[n] for n in range(count)]
    if count < COUNT:
        return alone
    threes = [list(_ORDER[n : n + _THREE]) for n in range(0, len(_ORDER), _THREE)]
    return [*alone, *threes, list(range(COUNT)), list(_ORDER[:COUNT])]


def _facts(
    info: Any, answers: Sequence[tuple[list[int], Array]], equal: Sequence[tuple[Array, Array]]
) -> dict[str, Any]:
    alone = {members[0]: value for members, value in answers if len(members) == 1}
    scale = facts.largest(list(alone.values()))
    sizes = sorted({len(members) for members, _ in answers})
    by_size = {size: [value for members, value in answers if len(members) == size] for size in sizes}
    return {
        "kind": answers[0][1].dtype.name,
        "asked": sizes,
        "per_image": [size for size, values in by_size.items() if all(_rows(value) == size for value in values)],
        "not_finite": [size for size, values in by_size.items() if not all(map(facts.finite, values))],
        "widths": sorted({value.shape[1] if value.ndim == 2 else -1 for _, value in answers}),
        "apart": max((_company(alone, members, value, scale) for members, value in answers), default=0.0),
        "changes": max(facts.apart(first, second, scale) for first, second in equal),
        "mismatch": next(filter(None, (facts.mismatch(info, value) for _, value in answers)), ""),
    }


def _rows(value: Array) -> int:
    return value.shape[0] if value.ndim else -1


def _company(alone: dict[int, Array], members: list[int], value: Array, scale: float) -> float:
    """How far the rows of a batch lie from their answers alone; infinite where it has not a row for each."""
    if len(members) == 1:
        return 0.0
    if _rows(value) != len(members):
        return float("inf")
    return max(facts.apart(alone[member], value[n : n + 1], scale) for n, member in enumerate(members))
