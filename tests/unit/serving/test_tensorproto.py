"""TensorProtos: TensorFlow's leniency, and every type there and back."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from tensorflow.core.framework import tensor_pb2

from serving.codec import tensorproto

TYPES = [1, 2, 3, 4, 5, 6, 8, 9, 10, 14, 17, 18, 19, 22, 23]


def proto(dtype: int = 1, shape: tuple[int, ...] = (), **fields: Any) -> Any:
    message = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_there_and_back(dtype: int, as_content: bool) -> None:
    values = np.array([[0, 1], [2, 3]]).astype(tensorproto.numpy_type(dtype))
    message = tensor_pb2.TensorProto()
    tensorproto.fill(message, dtype, values, as_content)
    assert bool(message.tensor_content) == as_content
    back = tensorproto.to_array(tensor_pb2.TensorProto.FromString(message.SerializeToString()))
    assert back.dtype == values.dtype
    assert back.tolist() == values.tolist()


@pytest.mark.parametrize("as_content", [False, True])
def test_strings_there_and_back(as_content: bool) -> None:
    values = np.array([[b"", b"\xff\0"], [b"x" * 300, b"y"]], dtype=object)
    message = tensor_pb2.TensorProto()
    tensorproto.fill(message, 7, values, as_content)
    assert tensorproto.to_array(message).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "shape", "result"),
    [
        ([1, 2], (3,), [1, 2, 2]),
        ([], (2,), [0, 0]),
        ([1, 2, 3], (2,), [1, 2]),
        ([5], (), 5),
        ([], (), 0),
        ([7], (2, 1), [[7], [7]]),
        ([], (0,), []),
    ],
)
def test_too_few_and_too_many_values(values: list[float], shape: tuple[int, ...], result: Any) -> None:
    assert tensorproto.to_array(proto(shape=shape, float_val=values)).tolist() == result


def test_the_last_string_is_repeated() -> None:
    assert tensorproto.to_array(proto(7, (3,), string_val=[b"a", b"b"])).tolist() == [b"a", b"b", b"b"]
    assert tensorproto.to_array(proto(7, (2,))).tolist() == [b"", b""]


def test_an_unknown_rank_is_a_scalar() -> None:
    message = proto(float_val=[1])
    message.tensor_shape.unknown_rank = True
    assert tensorproto.to_array(message).shape == ()


def test_small_integers_wrap() -> None:
    assert tensorproto.to_array(proto(6, (2,), int_val=[300, -129])).tolist() == [44, 127]


@pytest.mark.parametrize(
    "message",
    [
        proto(0),
        proto(20),
        proto(shape=(-1,)),
        proto(shape=(0, 2**32, 2**31)),
        proto(shape=(2,), tensor_content=b"\0\0\0\0"),
        proto(7, (2,), tensor_content=b"\x05abc"),
        proto(7, (1,), tensor_content=b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        proto(shape=(1,) * 65),
        proto(shape=(10**6, 10**6)),
        proto(shape=(10**9,), float_val=[1]),
        proto(7, (10**9,)),
        proto(7, (10_000,), string_val=[b"x" * 100_000]),
    ],
)
def test_what_tensorflow_refuses_or_memory_forbids(message: Any) -> None:
    with pytest.raises(tensorproto.Unparsable):
        tensorproto.to_array(message)


@pytest.mark.parametrize(("dtype", "field", "kind"), [(1, "float_val", np.float32), (2, "double_val", np.float64)])
def test_floats_are_taken_bit_by_bit_however_they_are_sent(dtype: int, field: str, kind: Any) -> None:
    values = np.array([0.0, -0.0, np.inf, np.nan, 1e-320, -1.5, 3.0], np.float64).astype(kind)
    message = proto(dtype, values.shape, version_number=-1, string_val=[b"x" * 200], int_val=[1, 2])
    getattr(message, field).extend(values.tolist())
    packed = message.SerializeToString()
    tag = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name[field].number << 3 | (5 if kind is np.float32 else 1)
    one_by_one = proto(dtype, values.shape).SerializeToString() + b"".join(
        bytes([tag]) + value.tobytes() for value in values
    )
    unknown = b"\xa2\x1f\x03abc" + b"\xab\x1f\xac\x1f"  # a string and a group of field 500 and 501
    for data in (packed, one_by_one, unknown + packed + unknown):
        array = tensorproto.to_array(tensor_pb2.TensorProto.FromString(data))
        assert array.tobytes() == values.tobytes()
        assert array.flags.aligned and array.flags.writeable


def test_many_values_make_no_object_each() -> None:
    values = np.random.default_rng(0).random((3, 100_000)).astype(np.float32)
    message = tensor_pb2.TensorProto()
    tracemalloc.start()
    try:
        tensorproto.fill(message, 1, values, as_content=False)
        back = tensorproto.to_array(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * values.nbytes
    assert len(message.float_val) == values.size
    assert back.tolist() == values.tolist()
