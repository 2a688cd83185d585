"""JSON documents read into dataclasses, with every value of the type that the dataclass declares."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any


def read_as(hint: Any, value: Any, where: str = "the document") -> Any:
    """`value`, as json gives it, as an instance of `hint`; ValueError names the place that has another type.

    Knows str, int, float, bool, Any, Literal, T | None, tuple[T, ...] (a JSON list), dict[str, T], and dataclasses
    of such.
    """
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(hint, value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {value!r:.60}, expected one of {', '.join(map(str, arguments))}")
        return value
    if type(None) in arguments:
        return None if value is None else read_as(arguments[0], value, where)
    if origin is tuple:
        items = enumerate(_expect(list, value, where))
        return tuple(read_as(arguments[0], item, f"{where}[{n}]") for n, item in items)
    if origin is dict:
        pairs = _expect(dict, value, where).items()
        return {name: read_as(arguments[1], item, f"{where}.{name}") for name, item in pairs}
    if hint is float and isinstance(value, int):
        return _as_float(_expect(int, value, where), where)
    return _expect(hint, value, where)


def _as_float(number: int, where: str) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{where} is a number too large for a float") from None


def _read_dataclass(kind: Any, value: Any, where: str) -> Any:
    document = _expect(dict, value, where)
    hints = typing.get_type_hints(kind)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    missing = sorted(_required(kind) - document.keys())
    strange = sorted(document.keys() - fields.keys())
    if missing or strange:
        raise ValueError(f"{where} lacks {missing or 'nothing'} and has unknown {strange or 'nothing'}")
    return kind(**{name: read_as(fields[name], found, name) for name, found in document.items()})


def _required(kind: Any) -> set[str]:
    """The fields without a default: documents written before the others were thought of lack those."""
    missing = dataclasses.MISSING
    return {f.name for f in dataclasses.fields(kind) if f.default is missing and f.default_factory is missing}


def _expect(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise ValueError(f"{where} is {value!r:.60}, expected {kind.__name__}")
    return value
