"""Sizes of dimensions as products of a number and symbols, so that they can be compared before they are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Final

_numbers: Final = count()
# Far more than the shapes of networks come to; a graph can square a size again and again.
_MOST_SYMBOLS: Final = 64
_MOST_BITS: Final = 64
# Whole numbers of 32 bits wrap around. A batch has at most 64 rows.
_MOST_NUMBER: Final = 2**31
_MOST_FACTOR: Final = 2**25


@dataclass(frozen=True)
class Size:
    """`factor` times the sizes that `symbols` stand for, which are sorted and may repeat."""

    factor: int
    symbols: tuple[str, ...] = ()

    def __mul__(self, other: Size) -> Size:
        """The product; raises OverflowError where no tensor has such a size."""
        if len(self.symbols) + len(other.symbols) > _MOST_SYMBOLS:
            raise OverflowError
        if self.factor.bit_length() + other.factor.bit_length() > _MOST_BITS:
            raise OverflowError
        return Size(self.factor * other.factor, tuple(sorted(self.symbols + other.symbols)))

    def over(self, other: Size) -> Size | None:
        """The quotient if it is certain to be whole, else None."""
        rest = Counter(self.symbols)
        rest.subtract(other.symbols)
        if not other.factor or self.factor % other.factor or any(number < 0 for number in rest.values()):
            return None
        return Size(self.factor // other.factor, tuple(sorted(rest.elements())))

    @property
    def for_each_row(self) -> Size | None:
        """How many there are for each row, if that is at least one and does not depend on how many rows there are."""
        share = self.over(ROWS)
        return share if share is not None and share.factor > 0 and not share.counts_rows else None

    @property
    def may_wrap(self) -> bool:
        """Whether it may be too large for a whole number of 32 bits."""
        return abs(self.factor) >= (_MOST_NUMBER if self.number is not None else _MOST_FACTOR)

    @property
    def number(self) -> int | None:
        """The size itself when it is known."""
        return None if self.symbols and self.factor else self.factor

    @property
    def counts_rows(self) -> bool:
        """Whether it grows with the number of rows."""
        return ROWS.symbols[0] in self.symbols and self.factor != 0


ROWS: Final = Size(1, ("rows",))
"""The number of rows that are run together."""

ONE: Final = Size(1)
ANY: Final = Size(-1)
"""What a shape says for the dimension that is to be found out."""


def unknown() -> Size:
    """A size that is not known, but the same whatever rows are run together."""
    return Size(1, (f"size {next(_numbers)}",))


def product(sizes: tuple[Size, ...]) -> Size:
    """The product of all."""
    result = ONE
    for size in sizes:
        result *= size
    return result
