"""What is known of a tensor while a graph is followed, and what a rule is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from serving.batching.rows.sizes import ANY, ONE, ROWS, Size, product, unknown

Shape = tuple[Size, ...]
Contents = npt.NDArray[Any]
"""Whole numbers that a tensor holds, each a Size, or None where it is only known to be fixed."""

MOST_CONTENTS: Final = 64


class NotProvedError(Exception):
    """Rows may influence each other; the text says which operation does it, or cannot be followed."""


@dataclass(frozen=True, eq=False)
class Value:
    """One tensor. With `by_row` its first dimension has a fixed number of entries for each row, in the rows' order,
    and each of them depends on that row alone. Without, it is the same whatever rows are run together, unless
    `contents` counts them. `shape` is None when not even the rank is known. `stored` is the shape of the variable that
    a handle leads to. Entries that are cut into several `blocks` are in another order: the first blocks of all of them,
    then the second ones, and so on.
    """

    shape: Shape | None
    by_row: bool = False
    contents: Contents | None = None
    stored: Shape | None = None
    blocks: int = 1

    @property
    def scalar(self) -> Size | None:
        """The one whole number that it holds, if that is known."""
        found: Size | None = self.contents[()] if self.contents is not None and not self.contents.ndim else None  # type: ignore[assignment]
        return found

    @property
    def counts_rows(self) -> bool:
        """Whether it holds a number of rows."""
        return self.contents is not None and any(size is not None and size.counts_rows for size in self.contents.flat)


FIXED: Final = Value(None)


def fixed(shape: Shape | None) -> Value:
    """A tensor that does not depend on any row."""
    return Value(shape)


def holding(contents: Any) -> Value:
    """A small tensor of whole numbers."""
    array = np.array(contents, dtype=object)
    return Value(tuple(Size(side) for side in array.shape), contents=array)


Follow = Callable[[str, Sequence["Value"]], Sequence["Value"]]


class Call:
    """One operation with its inputs, for the rule of its kind. `follow` gives the results of a function by its name."""

    def __init__(self, node: Any, definition: Any, where: str, inputs: Sequence[Value], follow: Follow) -> None:
        self.node = node
        self.inputs = inputs
        self.follow = follow
        self._definition = definition
        self._where = where

    def fail(self, reason: str) -> NoReturn:
        """Give up: the operation does what `reason` says, or it is not known that it does not."""
        raise NotProvedError(f"`{self.node.op}` at node {self._where} {reason}")

    def attr(self, name: str) -> Any:
        """An attribute of the node; its default where it was left out, an empty one where there is no default."""
        if name in self.node.attr:
            return self.node.attr[name]
        declared = () if self._definition is None else self._definition.attr
        return next((each.default_value for each in declared if each.name == name), type(self.node).AttrEntry().value)

    def shape(self, number: int) -> Shape:
        """The shape of an input; gives up when its rank is not known."""
        shape = self.inputs[number].shape
        if shape is None:
            self.fail("takes a tensor of unknown rank")
        return shape

    def require_fixed(self, *numbers: int) -> None:
        """Give up when one of these inputs, or of all, depends on rows or on how many there are."""
        for number in numbers or range(len(self.inputs)):
            value = self.inputs[number]
            if value.by_row:
                self.fail("takes rows where it must not")
            if value.counts_rows:
                self.fail("depends on the number of rows")

    def numbers(self, number: int) -> list[int]:
        """The whole numbers that an input holds; gives up when they are not known."""
        contents = self.inputs[number].contents
        found = [] if contents is None else [size.number if size is not None else None for size in contents.flat]
        if contents is None or None in found:
            self.fail("has an axis or a size that is not known before it runs")
        return [size for size in found if size is not None]

    def axis(self, number: int, rank: int) -> int:
        """The axis that an input names, counted from the front."""
        return self.from_front(self.numbers(number)[0], rank)

    def from_front(self, axis: int, rank: int) -> int:
        """An axis counted from the front; gives up when there is none such."""
        if not -rank <= axis < rank:
            self.fail("names an axis that is not there")
        return axis % rank

    def sizes(self, number: int) -> list[Size | None]:
        """The sizes that a vector holds, None for unknown ones; gives up when not even their number is known."""
        value = self.inputs[number]
        if value.by_row:
            self.fail("takes its shape from the rows")
        if value.contents is not None:
            return list(value.contents.flat)
        shape = value.shape
        length = shape[0].number if shape is not None and len(shape) == 1 else None
        if length is None or length > MOST_CONTENTS:
            self.fail("makes a shape that is not known before it runs")
        return [None] * length


Rule = Callable[[Call], Sequence[Value]]


def known(size: Size | None) -> Size:
    """The size, or a symbol for it."""
    return unknown() if size is None or size == ANY else size


def per_row(shape: Shape) -> Size:
    """How many numbers a tensor of this shape has for each row."""
    share = product(shape).over(ROWS)
    assert share is not None, "the first dimension of what goes by rows counts them"
    return share


def broadcast(one: Shape, other: Shape) -> Shape:
    """The shape of two that are brought together, aligned at their last dimensions."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    padded = (ONE,) * (len(longer) - len(shorter)) + shorter
    return tuple(map(_common, longer, padded))


def _common(one: Size, other: Size) -> Size:
    if one in (other, ONE):
        return other
    if other == ONE or one.number is not None:
        return one
    return other if other.number is not None else unknown()
