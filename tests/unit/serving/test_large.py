"""Large requests and answers: read and written as small ones are, wherever that happens."""

from __future__ import annotations

import gzip
import time

import numpy as np
import pytest

from serving import large
from serving.codec import dtypes, examples, gzipped, reply
from serving.codec.body import PredictBody
from serving.errors import ServingError
from serving.large import LargeBody

TYPES = {"": {"x": dtypes.FLOAT}, "other": {"s": dtypes.STRING}}


@pytest.mark.parametrize("packed", [False, True])
def test_a_predict_request_is_read_as_a_small_one(packed: bool) -> None:
    body = b'{"instances": [[1.5, 2], [3, 4]]}'
    read = LargeBody(gzip.compress(body) if packed else bytearray(body), packed, None).predict(TYPES)
    assert (read.signature_name, read.row_format) == ("", True)
    np.testing.assert_array_equal(read.tensors(TYPES[""])["x"], PredictBody(body).tensors(TYPES[""])["x"])


def test_strings_come_through() -> None:
    body = '{"signature_name": "other", "inputs": [["a", ""], ["ü", "' + "b" * 1000 + '"]]}'
    read = LargeBody(body.encode(), False, None).predict(TYPES)
    assert (read.signature_name, read.row_format) == ("other", False)
    assert read.tensors(TYPES["other"])["s"].tolist() == [[b"a", b""], ["ü".encode(), b"b" * 1000]]


def test_what_depends_on_the_signature_is_said_when_the_tensors_are_asked_for() -> None:
    read = LargeBody(b'{"instances": ["text"]}', False, None).predict(TYPES)
    with pytest.raises(ServingError) as large_error:
        read.tensors(TYPES[""])
    with pytest.raises(ServingError) as small_error:
        PredictBody(b'{"instances": ["text"]}').tensors(TYPES[""])
    assert large_error.value.message == small_error.value.message
    assert LargeBody(b'{"signature_name": "none", "x": 1}', False, None).predict(TYPES).signature_name == "none"


@pytest.mark.parametrize("body", [b"[", b'{"signature_name": 1}', b""])
def test_what_does_not_depend_on_it_is_said_at_once(body: bytes) -> None:
    with pytest.raises(ServingError) as large_error:
        LargeBody(body, False, None).predict({})
    with pytest.raises(ServingError) as small_error:
        PredictBody(body)
    assert large_error.value.message == small_error.value.message


def test_what_unpacks_to_more_than_the_real_server_takes_is_empty_as_there() -> None:
    packed = gzip.compress(bytes((100 << 20) + 1), 1, mtime=0)
    with pytest.raises(ServingError, match="The document is empty"):
        LargeBody(packed, True, None).predict({})


def test_a_classify_request_is_read_as_a_small_one() -> None:
    body = b'{"signature_name": "c", "context": {"a": 1}, "examples": [{"b": [1.5, 2.5]}, {"c": "text"}]}'
    name, read = LargeBody(body, False, None).examples()
    assert name == "c"
    assert read.tolist() == examples.from_json(body)[1].tolist()


def test_whether_a_body_is_large_is_found_without_unpacking_it() -> None:
    packed = gzip.compress(b"x" * 1000)
    assert [gzipped.is_longer(packed, size) for size in (999, 1000)] == [True, False]
    assert not gzipped.is_longer(b"junk", 10)


@pytest.mark.parametrize("row_format", [True, False])
def test_an_answer_is_written_as_a_small_one(row_format: bool) -> None:
    strings = np.array([[b"a", b"bc"], [b"", b"\xff"]], object)
    outputs = {"n": (dtypes.FLOAT, np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)), "s": (dtypes.STRING, strings)}
    assert bytes(large.write_predict(outputs, row_format, None)) == reply.predict(outputs, row_format)


def test_what_counts_as_large() -> None:
    most = large.MOST_IN_PLACE
    for count, expected in ((most, False), (most + 1, True)):
        assert large.is_large({"y": (dtypes.FLOAT, np.zeros(count, np.float32))}) is expected
    long = np.array([b"x" * 8 * most], object)
    assert large.is_large({"y": (dtypes.STRING, long)})


def test_time_is_counted_from_the_arrival() -> None:
    body = LargeBody(b"", False, 10.0)
    assert body.deadline is not None
    assert 9.0 < body.deadline - time.monotonic() <= 10.0
    assert large.left_s(time.monotonic() - 1) == 0.001
    assert large.left_s(None) is None
