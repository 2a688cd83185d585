"""Bodies that are one list of base64: read in one pass, and as the exact way reads them."""

from __future__ import annotations

import base64
import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.codec import b64, dtypes
from serving.codec.fast import Doubt
from serving.codec.quick import Quick
from serving.errors import ServingError
from tests.unit.serving.test_body import outcome
from tests.unit.serving.test_numbers import exact

EXAMPLES = int(os.environ.get("BODY_EXAMPLES", "400"))
PICTURE = base64.b64encode(bytes(range(256))).decode()

values = st.one_of(
    st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()),
    st.sampled_from(
        ["YQ", "YQ=", "YQ===", "YQ.", "Y Q==", "Y!==", "YQ==YQ==", "-_-_", "YQ\\n==", "=", "é", "Y\\u0051=="]
    ),
)
elements = st.one_of(
    values.map(lambda value: f'{{"b64": "{value}"}}'),
    values.map(lambda value: f'{{ "b64" :"{value}" }}'),
    st.sampled_from(
        ['{"b64": 1}', '{"b 64": "YQ=="}', '{"b64": "YQ==", "x": 1}', '"YQ=="', "1", '{"b64": "YQ=="}}', "[]"]
    ),
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A body in one of the forms that clients send, every name in them `x`."""
    items = draw(st.lists(elements, min_size=1, max_size=4))
    rows = "[" + draw(st.sampled_from([",", " ,\n", ",,"])).join(items) + "]"
    text = draw(
        st.sampled_from(
            [
                f'"instances": {rows}',
                f'"inputs":{rows}',
                f'"inputs": {{"x": {rows}}}',
                f'"inputs": {items[0]}',
                f'"instances": [{{"x": {items[0]}}}, {{"x": {items[-1]}}}]',
                f'"instances": [{{"x": {rows}}}]',
                f'"instances": {rows}, "more": []',
            ]
        )
    )
    name = '"signature_name": "s"'
    return draw(st.sampled_from([f"{{{text}}}", f"{{{name}, {text}}} ", f"{{{text}, {name}}}", f"{{{text}}} x"]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(documents(), st.sampled_from([dtypes.STRING, dtypes.FLOAT]), st.sampled_from(["x", "y"]))
def test_base64_is_read_as_the_exact_way_reads_it(body: str, dtype: int, name: str) -> None:
    data = body.encode()
    assert outcome(data, {name: dtype}) == exact(data, {name: dtype})


@settings(max_examples=EXAMPLES)
@given(st.text(alphabet="AQz9+/=.-\n é", max_size=12))
def test_what_is_decoded_in_one_pass_is_decoded_alike_by_the_lenient_way(text: str) -> None:
    found = b64.decode_clean(text.encode("latin-1"))
    with mock.patch.object(b64, "decode_clean", return_value=None):
        try:
            expected: bytes | None = b64.decode(text)
        except ServingError:
            expected = None
    assert found is None or found == expected


@pytest.mark.parametrize(
    "body",
    [
        f'{{"instances": [{{"b64": "{PICTURE}"}}]}}',
        f'{{"signature_name": "s", "instances":[{{"b64":"{PICTURE}"}} , {{"b64":"{PICTURE}"}}]}}',
        f'{{"inputs": {{"x": [{{"b64": "{PICTURE}"}}]}}, "signature_name": ""}}',
    ],
)
def test_everyday_bodies_are_not_parsed_otherwise(body: str) -> None:
    tensor: Any = Quick(body.encode()).tensors({"x": dtypes.STRING})["x"]
    assert set(tensor.tolist()) == {bytes(range(256))}


@pytest.mark.parametrize("body", ['{"instances": [{"b64": "YQ"}]}', '{"instances": [{"b64": "YQ=="}, "a"]}'])
def test_anything_else_is_left_to_others(body: str) -> None:
    with pytest.raises(Doubt):
        Quick(body.encode())
