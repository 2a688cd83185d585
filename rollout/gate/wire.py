"""Whether a file in protobuf's wire format says everything once, so that all readers make the same of it.

Parsers merge a message that comes twice, let the last of several numbers win, and skip what they do not know.
A parsed message shows nothing of that, so the bytes themselves are walked along the schema.
"""

from __future__ import annotations

from typing import Any

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}
_KEY = 1
_DEEPEST = 100
_LONGEST_VARINT = 10
_LONGEST_REMEMBERED = 64
_MOST_REMEMBERED = 200_000


class Ambiguous(Exception):
    """Two readers could make different things of it; the text says where and why."""


def require_unambiguous(data: bytes, descriptor: Any) -> None:
    """Raise Ambiguous when a field is unknown, comes twice, has another type than `descriptor` says, or is cut off."""
    _Walk(data).message(0, len(data), _Schema.of(descriptor, {}), 0)


class _Field:
    """What the schema says about one field."""

    def __init__(self, field: Any, schemas: dict[str, _Schema]) -> None:
        self.name: str = field.name
        self.repeated: bool = field.label == field.LABEL_REPEATED
        # Of the members of a oneof only one can be there.
        self.single: str = field.containing_oneof.name if field.containing_oneof else field.name
        self.schema = _Schema.of(field.message_type, schemas) if field.message_type else None
        self.wire_types = {_wire_type(field)} | ({_LENGTH} if self.repeated else set())  # Numbers may be packed.


class _Schema:
    """What the schema says about one message."""

    def __init__(self, descriptor: Any) -> None:
        self.name: str = descriptor.name
        self.full_name: str = descriptor.full_name
        self.is_entry: bool = descriptor.GetOptions().map_entry
        self.default_key = b""
        self.fields: dict[int, _Field] = {}

    @classmethod
    def of(cls, descriptor: Any, schemas: dict[str, _Schema]) -> _Schema:
        """The schema of `descriptor`, each made once: messages hold themselves."""
        known = schemas.get(descriptor.full_name)
        if known is None:
            known = schemas[descriptor.full_name] = cls(descriptor)
            known.fields = {field.number: _Field(field, schemas) for field in descriptor.fields}
            if known.is_entry and _LENGTH not in known.fields[_KEY].wire_types:
                known.default_key = b"\0"
        return known


def _wire_type(field: Any) -> int:
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
        return _LENGTH
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FIXED64, field.TYPE_SFIXED64):
        return _FIXED64
    if field.type in (field.TYPE_FLOAT, field.TYPE_FIXED32, field.TYPE_SFIXED32):
        return _FIXED32
    return _VARINT


class _Walk:
    """One walk over `data`. Small messages that were met before are not walked again: graphs are full of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._met: dict[tuple[str, bytes], bytes] = {}

    def message(self, at: int, end: int, schema: _Schema, depth: int) -> bytes:
        """Walk the message in `data[at:end]`; the key, when it is an entry of a map."""
        if depth > _DEEPEST:
            raise Ambiguous(f"its messages are nested more than {_DEEPEST} deep")
        seen: set[str] = set()
        keys: set[tuple[str, bytes]] = set()
        key = schema.default_key
        while at < end:
            tag, at = self._varint(at, end, schema)
            field = schema.fields.get(tag >> 3)
            if field is None:
                raise Ambiguous(f"{schema.name} has a field {tag >> 3} that TensorFlow does not know")
            start, at = self._value(at, end, schema, field, tag & 7)
            if not field.repeated:
                if field.single in seen:
                    raise Ambiguous(f"{schema.name} has {field.single} twice")
                seen.add(field.single)
            if field.schema is not None:
                found = self._inner(start, at, field.schema, depth + 1)
                if field.schema.is_entry:
                    if (field.name, found) in keys:
                        raise Ambiguous(f"{schema.name} has two entries of {field.name} with one key")
                    keys.add((field.name, found))
            elif schema.is_entry and tag >> 3 == _KEY:
                key = self._data[start:at]
        return key

    def _inner(self, at: int, end: int, schema: _Schema, depth: int) -> bytes:
        if end - at > _LONGEST_REMEMBERED:
            return self.message(at, end, schema, depth)
        name = (schema.full_name, self._data[at:end])
        key = self._met.get(name)
        if key is None:
            key = self.message(at, end, schema, depth)
            if len(self._met) < _MOST_REMEMBERED:
                self._met[name] = key
        return key

    def _value(self, at: int, end: int, schema: _Schema, field: _Field, wire_type: int) -> tuple[int, int]:
        """Where the value that begins at `at` has its content, and where that ends."""
        if wire_type not in field.wire_types:
            raise Ambiguous(f"{schema.name}.{field.name} is of another type than TensorFlow's")
        if wire_type == _VARINT:
            return at, self._varint(at, end, schema)[1]
        if wire_type == _LENGTH:
            length, at = self._varint(at, end, schema)
        else:
            length = _WIDTH[wire_type]
        if at + length > end:
            raise _cut_off(schema)
        return at, at + length

    def _varint(self, at: int, end: int, schema: _Schema) -> tuple[int, int]:
        data, began, value, shift = self._data, at, 0, 0
        while at < end and at - began < _LONGEST_VARINT:
            byte = data[at]
            at += 1
            if byte < 0x80:
                if not byte and shift:
                    raise Ambiguous(f"{schema.name} has a number that is longer than it need be")
                return value | byte << shift, at
            value |= (byte & 0x7F) << shift
            shift += 7
        raise _cut_off(schema)


def _cut_off(schema: _Schema) -> Ambiguous:
    return Ambiguous(f"{schema.name} ends in the middle of a field")
