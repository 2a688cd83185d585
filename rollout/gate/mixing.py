"""Whether a signature answers a row alone as it does in company: in batches of every size to sixteen, and once more.

Runs in the worker, beside the version, and says what differs; what that means is decided by its parent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rollout.gate import facts
from rollout.gate.facts import Answer, Array
from rollout.gate.inputs import Feed, Stock

COUNT = 16
"""Rows that are asked, and the largest batch."""

_THREE = 3
_ORDER = tuple(7 * n % COUNT for n in range(COUNT))
"""Every row, far from those that it stands beside elsewhere."""

_SLOW_S = 1.0
"""CPU time of one run from which on a version is asked the least: one row, three and sixteen at a time."""

Run = Callable[[Feed], Answer]


def mix(run: Run, stock: Stock, outputs: dict[str, Any]) -> dict[str, Any]:
    """What is found of each output, by its alias; `outputs` is how the signature declares them."""
    run(stock.pick([0]))  # The first of all may optimise the graph.
    began = time.process_time()
    run(stock.pick([0]))
    batches = _batches(stock, slow=time.process_time() - began > _SLOW_S)
    answers = [(members, run(stock.pick(members))) for members in batches]
    # The one alone and the largest batch again: equal requests.
    again = [(n, run(stock.pick(batches[n]))) for n in (0, len(batches) - 1)]
    return {
        alias: _facts(
            info,
            stock.doubtful,
            [(members, answer[alias]) for members, answer in answers],
            [(answers[n][1][alias], answer[alias]) for n, answer in again],
        )
        for alias, info in outputs.items()
    }


def _batches(stock: Stock, slow: bool) -> list[list[int]]:
    rows = min(_THREE, stock.count) if slow else stock.count
    alone = [[n] for n in range(rows)]
    if stock.count < COUNT:
        return alone
    sizes = (_THREE,) if slow else range(2, COUNT)
    batches = [[_ORDER[(size + n) % COUNT] % rows for n in range(size)] for size in sizes if size <= stock.most]
    whole = [[n % rows for n in range(COUNT)], *([] if slow else [list(_ORDER)])]
    return [*alone, *batches, *(whole if stock.most >= COUNT else ())]


def _facts(
    info: Any,
    doubtful: frozenset[int],
    answers: Sequence[tuple[list[int], Array]],
    equal: Sequence[tuple[Array, Array]],
) -> dict[str, Any]:
    alone = {members[0]: value for members, value in answers if len(members) == 1}
    scale = facts.largest(list(alone.values()))
    sizes = sorted({len(members) for members, _ in answers})
    by_size = {size: [value for members, value in answers if len(members) == size] for size in sizes}
    bad = [(members, n) for members, value in answers for n in _not_finite(members, value)]
    return {
        "kind": answers[0][1].dtype.name,
        "asked": sizes,
        "per_image": [size for size, values in by_size.items() if all(_rows(value) == size for value in values)],
        "not_finite": sorted({len(members) for members, n in bad if n not in doubtful}),
        "doubtful": sorted({len(members) for members, n in bad if n in doubtful}),
        "never_finite": not any(map(facts.any_finite, (value for _, value in answers))),
        "widths": sorted({value.shape[1] if value.ndim == 2 else -1 for _, value in answers}),
        "apart": max((_company(alone, members, value, scale) for members, value in answers), default=0.0),
        "changes": max(facts.apart(first, second, scale) for first, second in equal),
        "mismatch": next(filter(None, (facts.mismatch(info, value) for _, value in answers)), ""),
    }


def _not_finite(members: Sequence[int], value: Array) -> list[int]:
    """The members of a batch whose answers are no numbers; all of them where they cannot be told apart."""
    if facts.finite(value):
        return []
    if _rows(value) != len(members):
        return list(members)
    return [member for member, row in zip(members, value, strict=True) if not facts.finite(row)]


def _rows(value: Array) -> int:
    return value.shape[0] if value.ndim else -1


def _company(alone: dict[int, Array], members: list[int], value: Array, scale: float) -> float:
    """How far the rows of a batch lie from their answers alone; infinite where it has not a row for each."""
    if len(members) == 1:
        return 0.0
    if _rows(value) != len(members):
        return float("inf")
    return max(facts.apart(alone[member], value[n : n + 1], scale) for n, member in enumerate(members))
