"""What the codec needs to know of TensorFlow's types, by their DataType numbers, without importing TensorFlow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING = 1, 2, 3, 4, 5, 6, 7
INT64, BOOL, UINT16, UINT32, UINT64 = 9, 10, 17, 22, 23
COMPLEX64, COMPLEX128 = 8, 18

NAMES = {
    1: "float",
    2: "double",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "half",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    29: "int4",
    30: "uint4",
}

JSON: dict[int, npt.DTypeLike] = {
    FLOAT: np.float32,
    DOUBLE: np.float64,
    INT32: np.int32,
    UINT8: np.uint8,
    INT16: np.int16,
    INT8: np.int8,
    INT64: np.int64,
    UINT32: np.uint32,
    UINT64: np.uint64,
    BOOL: np.bool_,
}

INTEGER_RANGES = {
    INT32: (-(2**31), 2**31 - 1),
    UINT8: (-(2**31), 2**31 - 1),
    INT16: (-(2**31), 2**31 - 1),
    INT8: (-(2**31), 2**31 - 1),
    INT64: (-(2**63), 2**63 - 1),
    UINT32: (0, 2**32 - 1),
    UINT64: (0, 2**64 - 1),
}
"""The integer tokens that JSON may hold for a type: the small types take any int32 and wrap, as protos carry them."""


def name(number: int) -> str:
    """TensorFlow's name of a DataType, references included."""
    if number > 100:
        return NAMES.get(number - 100, f"unknown dtype enum ({number})") + "_ref"
    return NAMES.get(number, f"unknown dtype enum ({number})")
