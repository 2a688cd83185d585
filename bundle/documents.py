"""JSON that somebody else has written, read into dataclasses: msgspec holds it to the types that they declare.

What comes out has finite numbers and whole characters; what is too large or too deep is refused before it is built.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

MOST_BYTES = 32 << 20

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things, or an index; as large as every reader of JSON can hold."""

_T = TypeVar("_T")


def read(data: bytes, kind: type[_T], most_bytes: int = MOST_BYTES) -> _T:
    """The JSON in `data` as an instance of the dataclass `kind`; ValueError names the place that is not as declared.

    Fields that `kind` does not have are left out: they may be of a later release.
    """
    if len(data) > most_bytes:
        raise ValueError(f"it has more than {most_bytes >> 20} MB")
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def convert(value: object, kind: type[_T]) -> _T:
    """`value`, as json gives it, as an instance of `kind`; ValueError names the place that is not as declared."""
    try:
        return msgspec.convert(value, kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (msgspec.MsgspecError, OverflowError) as error:
        raise ValueError(str(error)) from None
