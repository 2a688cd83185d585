"""JSON documents read into dataclasses, with every value of the type that the dataclass declares."""

from __future__ import annotations

import dataclasses
import sys
import typing
from typing import Any

_LARGEST = 2**63


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
    if hint is float:
        return _finite(value, where)
    if hint is int and isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{where} is a number of {len(f'{abs(value):x}')} hexadecimal digits, expected at most 16")
    return _text(value, where) if hint is str else _expect(hint, value, where)


def _finite(value: Any, where: str) -> float:
    """A number; one that float cannot hold, or that is none, is refused."""
    number = value if isinstance(value, float) else _expect(int, value, where)
    if abs(number) > sys.float_info.max or number != number:
        raise ValueError(f"{where} is no finite number")
    return float(number)


def _text(value: Any, where: str) -> str:
    """A text that can be written down: JSON has halves of characters, and files have not."""
    text: str = _expect(str, value, where)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} is {text!a:.60}, which is no text: it holds half a character") from None
    return text


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
