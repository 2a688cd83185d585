"""Bodies that are one array of numbers: read without an object per number, and as the exact way reads them."""

from __future__ import annotations

import json
import os
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from serving.codec import dtypes, fast
from serving.codec.body import PredictBody
from serving.codec.quick import Quick
from tests.unit.serving.test_body import number_tokens, outcome

EXAMPLES = int(os.environ.get("BODY_EXAMPLES", "400"))
TYPES = [*dtypes.JSON, dtypes.STRING, 19]

everyday_tokens = st.one_of(
    st.integers(0, 255).map(str),
    st.floats(-1000, 1000, width=32).map(lambda number: f"{number:.6f}"),
    st.integers(-(2**31), 2**31 - 1).map(str),
)
shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@st.composite
def arrays(draw: st.DrawFn, tokens: st.SearchStrategy[str]) -> str:
    """The text of an array whose lists are equally long."""
    shape = draw(shapes)
    blank = draw(st.sampled_from(["", " ", "\n\t"]))
    texts = [draw(tokens) for _ in range(int(np.prod(shape)))]
    for size in reversed(shape):
        texts = [
            "[" + blank + f"{blank},{blank}".join(texts[at : at + size]) + blank + "]"
            for at in range(0, len(texts), size)
        ]
    return texts[0]


@st.composite
def documents(draw: st.DrawFn, tokens: st.SearchStrategy[str] = everyday_tokens) -> str:
    """A body in one of the forms that clients send, every name in them `x`."""
    values = draw(arrays(tokens))
    name = '"signature_name": "' + draw(st.sampled_from(["", "s", "S - 1", "é", "]"])) + '"'
    text = draw(
        st.sampled_from(
            [
                f'"instances": {values}',
                f'"inputs":{values}',
                f'"inputs": {{"x": {values}}}',
                f'"instances" :[ {{"x":{values}}} ]',
                f'"instances": [{{"x": {values}}}, {{"x": {values}}} ,{{ "x" : {values}}}]',
                f'"instances": {{"x": {values}}}',
                f'"inputs": [{{"x": {values}}}]',
                f'"instances": [{{"x": {values}}}, {{"y": {values}}}]',
                f'"instances": [{{"x": {values}, "x": 1}}]',
            ]
        )
    )
    return draw(
        st.sampled_from([f"{{{text}}}", f" {{{name}, {text}}} ", f"{{{text}, {name}}}", f"{{{name},{text},{name}}}"])
    )


def exact(data: bytes, inputs: dict[str, int]) -> Any:
    with (
        mock.patch("serving.codec.body.Quick", side_effect=fast.Doubt),
        mock.patch.object(fast, "parse", side_effect=fast.Doubt),
    ):
        return outcome(data, inputs)


@settings(max_examples=EXAMPLES, deadline=None)
@given(documents(st.one_of(everyday_tokens, number_tokens)), st.sampled_from(TYPES), st.sampled_from(["x", "y"]))
def test_numbers_are_read_as_the_exact_way_reads_them(body: str, dtype: int, name: str) -> None:
    data = body.encode()
    assert outcome(data, {name: dtype}) == exact(data, {name: dtype})


@settings(max_examples=EXAMPLES, deadline=None)
@given(documents(), st.data())
def test_a_body_with_a_character_changed_is_read_as_the_exact_way_reads_it(body: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    put = data.draw(st.sampled_from(["", *'[]{},:"e.-+0\\ \0', "[]", "null", "true", "1e400", "NaN", "]]", ',"x":']))
    changed = body[:at] + put + body[at + data.draw(st.integers(0, 2)) :]
    assume(changed != body)
    sent = changed.encode()
    assert outcome(sent, {"x": dtypes.FLOAT}) == exact(sent, {"x": dtypes.FLOAT})


@pytest.mark.parametrize("dtype", [dtypes.FLOAT, dtypes.DOUBLE, dtypes.UINT8, dtypes.INT64])
@pytest.mark.parametrize(
    ("form", "shape"),
    [
        ('{"instances": [IMAGE, IMAGE]}', (2, 4, 5, 3)),
        ('{"signature_name": "s", "instances": [IMAGE]}', (1, 4, 5, 3)),
        ('{"inputs": [IMAGE], "signature_name": "s"}', (1, 4, 5, 3)),
        ('{"inputs": {"x": IMAGE}}', (4, 5, 3)),
        ('{"instances": [{"x": IMAGE}, {"x": IMAGE}]}', (2, 4, 5, 3)),
        ('{"instances": [1, 2, 3]}', (3,)),
    ],
)
def test_images_take_the_quickest_way(form: str, shape: tuple[int, ...], dtype: int) -> None:
    image = np.arange(60).reshape(4, 5, 3)
    body = form.replace("IMAGE", json.dumps(image.tolist())).encode()
    with mock.patch.object(fast, "parse", side_effect=AssertionError("went another way")):
        value = PredictBody(body).tensors({"x": dtype})["x"]
    assert value.shape == shape
    assert value.dtype == dtypes.JSON[dtype]
    assert value.ravel()[:3].tolist() in ([0, 1, 2], [1, 2, 3])


def test_fractions_and_exponents_take_the_quickest_way() -> None:
    values = Quick(b'{"instances": [[0.1, 2.5e-05], [-3.25, 0.3333333432674408]]}').tensors({"x": dtypes.FLOAT})["x"]
    assert values.tolist() == np.array([[0.1, 2.5e-05], [-3.25, 1 / 3]], np.float32).tolist()


@pytest.mark.parametrize(
    "rows",
    ["[[1], [2, 3]]", "[[1], []]", "[]", "[[]]", "[[1], 2]", "[[1, null]]", "[[1, true]]", '[[1, "2"]]', "[1e999]"],
)
def test_what_is_not_an_array_of_numbers_goes_another_way(rows: str) -> None:
    with pytest.raises(fast.Doubt):
        Quick(f'{{"instances": {rows}}}'.encode()).tensors({"x": dtypes.FLOAT})
