"""The table of operations: kinds, each with a rule in words and in code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from serving.batching.rows.values import Rule


@dataclass(frozen=True)
class Kind:
    """Operations that are followed by the same rule; `says` is the rule in words."""

    name: str
    says: str
    operations: tuple[str, ...]


KINDS: Final[list[Kind]] = []
RULES: Final[dict[str, Rule]] = {}
FOR_SIZES: Final[set[str]] = set()
"""Operations whose rules know what to do with the number of rows; all others must not meet it."""
FOR_BLOCKS: Final[set[str]] = set()
"""Operations whose rules know what to do with rows that are cut into blocks; all others must not meet them."""


def kind(name: str, says: str, *operations: str, sizes: bool = False, blocks: bool = False) -> Callable[[Rule], Rule]:
    """Put a rule into the table for all of `operations`.

    With `sizes` it takes the number of rows as input as well, with `blocks` rows that are cut into blocks.
    """

    def enter(rule: Rule) -> Rule:
        KINDS.append(Kind(name, says, tuple(sorted(operations))))
        for operation in operations:
            assert operation not in RULES, f"{operation} has a rule already"
            RULES[operation] = rule
        FOR_SIZES.update(operations if sizes else ())
        FOR_BLOCKS.update(operations if blocks else ())
        return rule

    return enter
