"""TensorProto to NumPy and back, with the leniency of TensorFlow's own parser."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.codec import dtypes, packed

Array = npt.NDArray[Any]

_FIELDS = {
    1: "float_val",
    2: "double_val",
    3: "int_val",
    4: "int_val",
    5: "int_val",
    6: "int_val",
    7: "string_val",
    8: "scomplex_val",
    9: "int64_val",
    10: "bool_val",
    14: "half_val",
    17: "int_val",
    18: "dcomplex_val",
    19: "half_val",
    22: "uint32_val",
    23: "uint64_val",
}
_HALVES = (14, 19)
_COMPLEX = {8: np.float32, 18: np.float64}
# The fields, by their numbers, that have on the wire what NumPy has in memory.
_WIDE: dict[int, tuple[int, np.dtype[Any]]] = {1: (5, np.dtype("<f4")), 2: (6, np.dtype("<f8"))}
_MAX_DIMENSIONS = 64
# NumPy counts bytes in 63 bits, and leaves zeros among the dimensions out of the count.
_MAX_ELEMENTS = 2**63 // 16
# How much memory a tensor may take that its message only describes, by a shape and a value to repeat.
_MAX_DESCRIBED_BYTES = 256 << 20


class Unparsable(ValueError):
    """A TensorProto that TensorFlow refuses."""


def to_array(proto: Any) -> Array:
    """Return the tensor in `proto`; strings become object arrays of bytes.

    Fewer values than the shape needs repeat the last one, none are zeros, more are ignored. Raises
    Unparsable for a missing type, a bad shape, or `tensor_content` of the wrong length.
    """
    shape = _shape(proto.tensor_shape)
    if proto.dtype not in _FIELDS:
        raise Unparsable(f"dtype {proto.dtype}")
    size = math.prod(shape)
    if proto.tensor_content:
        return _from_content(proto, shape, size)
    _check_size(proto, size)
    if proto.dtype == dtypes.STRING:
        return _strings(list(proto.string_val), size).reshape(shape)
    return _from_values(proto, size).reshape(shape)


def fill(proto: Any, dtype: int, value: Array, as_content: bool) -> None:
    """Write `value` into the empty TensorProto `proto`, in typed fields or, if asked for, as raw content."""
    proto.dtype = dtype
    shape = proto.tensor_shape
    shape.SetInParent()
    for size in value.shape:
        shape.dim.add(size=size)
    if dtype == dtypes.STRING:
        if as_content:
            proto.tensor_content = _string_content(value)
        else:
            proto.string_val.extend(value.reshape(-1).tolist())
        return
    flat = np.ascontiguousarray(value).reshape(-1)
    if as_content:
        proto.tensor_content = flat.tobytes()
    elif dtype in _FIELDS:
        _fill_values(proto, dtype, flat)


def numpy_type(dtype: int) -> npt.DTypeLike:
    """The NumPy type of a TensorFlow type that has one."""
    if dtype in dtypes.JSON:
        return dtypes.JSON[dtype]
    import tensorflow as tf

    return tf.dtypes.as_dtype(dtype).as_numpy_dtype  # type: ignore[no-any-return]


def _shape(proto: Any) -> list[int]:
    shape = [dim.size for dim in proto.dim]  # unknown_rank is ignored, which makes it a scalar
    if len(shape) > _MAX_DIMENSIONS or any(size < 0 for size in shape):
        raise Unparsable("shape")
    if math.prod(size for size in shape if size) >= _MAX_ELEMENTS:
        raise Unparsable("shape")
    return shape


def _check_size(proto: Any, size: int) -> None:
    """Refuse a few bytes that stand for gigabytes; the real server takes them and runs out of memory."""
    values = getattr(proto, _FIELDS[proto.dtype])
    present = len(values)
    width = np.dtype(numpy_type(proto.dtype)).itemsize
    if proto.dtype == dtypes.STRING and present:
        width += len(values[-1])  # TensorFlow copies it for each place that it is repeated in.
    if size > present and size * width > _MAX_DESCRIBED_BYTES:
        raise Unparsable("size")


def _from_content(proto: Any, shape: list[int], size: int) -> Array:
    content = proto.tensor_content
    if proto.dtype == dtypes.STRING:
        return _strings_from_content(content, size).reshape(shape)
    kind = np.dtype(numpy_type(proto.dtype))
    if len(content) != size * kind.itemsize:
        raise Unparsable("tensor_content")
    # A copy, because TensorFlow wants its feeds aligned and bytes objects are not.
    return np.frombuffer(content, dtype=kind).copy().reshape(shape)


def _strings_from_content(content: bytes, size: int) -> Array:
    lengths, at = [], 0
    try:
        for _ in range(size):
            length, at = packed.decode_varint(content, at)
            lengths.append(length)
    except ValueError:
        raise Unparsable("tensor_content") from None
    if at + sum(lengths) != len(content):
        raise Unparsable("tensor_content")
    values = []
    for length in lengths:
        values.append(content[at : at + length])
        at += length
    return _strings(values, size)


def _string_content(value: Array) -> bytes:
    flat = value.reshape(-1).tolist()
    return b"".join(packed.encode_varint(len(item)) for item in flat) + b"".join(flat)


def _strings(values: list[bytes], size: int) -> Array:
    last = values[-1] if values else b""
    array = np.full(size, last, dtype=object)
    array[: len(values)] = values[:size]
    return array


def _from_values(proto: Any, size: int) -> Array:
    kind = np.dtype(numpy_type(proto.dtype))
    values = _values(proto)
    if not values.size:
        return np.zeros(size, dtype=kind)
    if proto.dtype in _HALVES:
        values = values.astype(np.uint16).view(kind)
    elif proto.dtype in _COMPLEX:
        part = _COMPLEX[proto.dtype]
        values = values[: values.size // 2 * 2].astype(part).view(kind)
    else:
        with np.errstate(all="ignore"):
            values = values.astype(kind, copy=False)
    if values.size >= size:
        return values[:size]
    filled = np.full(size, values[-1] if values.size else 0, dtype=kind)
    filled[: values.size] = values
    return filled


def _values(proto: Any) -> Array:
    """What the field for the tensor's type holds."""
    if proto.dtype in _WIDE:
        return packed.read(proto, *_WIDE[proto.dtype])
    return np.array(getattr(proto, _FIELDS[proto.dtype]))


def _fill_values(proto: Any, dtype: int, flat: Array) -> None:
    if dtype in _WIDE:
        number, kind = _WIDE[dtype]
        packed.write(proto, number, flat.astype(kind, copy=False))
        return
    if dtype in _HALVES:
        flat = flat.view(np.uint16)
    elif dtype in _COMPLEX:
        flat = flat.view(_COMPLEX[dtype])
    getattr(proto, _FIELDS[dtype]).extend(flat.tolist())
