"""The body of a REST predict request: checked in the real server's order, converted by the quickest safe way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from serving.codec import exact, fast
from serving.codec.debug import describe
from serving.codec.parser import ABSENT, Members, check_size, parse
from serving.codec.quick import Quick
from serving.errors import invalid

Array = npt.NDArray[Any]


def parse_object(body: bytes) -> Members:
    """Parse a body that must be a JSON object; raises ServingError INVALID_ARGUMENT otherwise."""
    root = parse(body)
    if not isinstance(root, Members):
        raise invalid(f"JSON Value: {describe(root)} Is not object")
    return root


def signature_name(root: Members) -> str:
    """The `signature_name` of a body, or an empty string when it names none."""
    name = root.first("signature_name")
    if name is ABSENT:
        return ""
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {describe(root)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


class PredictBody:
    """A predict request's body.

    Making one raises ServingError for bad syntax and for a bad `signature_name`, which the real server
    reports before it looks at the model; `tensors` raises it for everything else. With `quickly`, both raise
    fast.Doubt instead of going the exact way, which can take seconds for a few megabytes.
    """

    def __init__(self, body: bytes, quickly: bool = False) -> None:
        self._body = body
        self._quickly = quickly
        self._root: Members | None = None
        self._quick: Quick | None = None
        self._document: fast.Document | None = None
        self.row_format = True
        check_size(body)
        try:
            self._quick = Quick(body)
            self.signature_name = self._quick.signature_name
        except fast.Doubt:
            self.signature_name = self._parse()

    def tensors(self, inputs: Mapping[str, int]) -> dict[str, Array]:
        """Convert the body for a signature whose inputs (alias to DataType number) are `inputs`.

        Sets `row_format` to whether the answer is to be in rows.
        """
        if self._quick is not None:
            try:
                self.row_format = self._quick.row_format
                return self._quick.tensors(inputs)
            except fast.Doubt:
                self._parse()
        if self._document is not None:
            try:
                return self._fast_tensors(self._document, inputs)
            except fast.Doubt:
                self._document = None
        if self._root is None:
            self._root = self._parse_exactly()
        return self._exact_tensors(self._root, inputs)

    def _parse_exactly(self) -> Members:
        if self._quickly:
            raise fast.Doubt
        return parse_object(self._body)

    def _parse(self) -> str:
        """Parse the whole body; returns its signature name."""
        try:
            document = fast.parse(self._body)
            name = document.root.get("signature_name", "")
            if type(name) is not str:
                raise fast.Doubt
        except fast.Doubt:
            self._root = self._parse_exactly()
            return signature_name(self._root)
        self._document = document
        return name

    def _fast_tensors(self, document: fast.Document, inputs: Mapping[str, int]) -> dict[str, Array]:
        root = document.root
        self.row_format = "instances" in root
        if self.row_format == ("inputs" in root):
            raise fast.Doubt
        if self.row_format:
            return fast.instances(document, root["instances"], inputs)
        return fast.columns(document, root["inputs"], inputs)

    def _exact_tensors(self, root: Members, inputs: Mapping[str, int]) -> dict[str, Array]:
        rows, whole = root.first("instances"), root.first("inputs")
        if rows is not ABSENT and whole is not ABSENT:
            raise invalid(
                f"JSON Value: {describe(root)} Not formatted correctly expecting only one of 'inputs' or 'instances'"
                " keys to exist "
            )
        self.row_format = rows is not ABSENT
        if whole is not ABSENT:
            return exact.columns(whole, inputs)
        if rows is ABSENT:
            raise invalid("Missing 'inputs' or 'instances' key")
        if not isinstance(rows, list) or isinstance(rows, Members):
            raise invalid(f"JSON Value: {describe(root)} Expecting 'instances' to be an list/array")
        if not rows:
            raise invalid(f"JSON Value: {describe(root)} No values in 'instances' array")
        return exact.instances(rows, inputs)
