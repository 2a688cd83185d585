"""Which model and action a request target names."""

from __future__ import annotations

import pytest

from serving.rest import _BadVersion, _parse_target

TARGETS = [
    ("GET", "/v1/models/m", ("m", None, None, "status")),
    ("GET", "/V1/Models/m/VERSIONS/7", ("m", 7, None, "status")),
    ("GET", "/v1/models/m/versions/00123/metadata", ("m", 123, None, "metadata")),
    ("GET", "/v1/models/m/labels/a%20b/metadata", ("m", None, "a b", "metadata")),
    ("GET", "/v1/models/m/METADATA", ("m", None, None, "status")),
    ("GET", "/v1/models", ("", None, None, "status")),
    ("GET", "/v1/models/versions/3", ("", 3, None, "status")),
    ("GET", "/v1/models/m?x=1", ("m?x=1", None, None, "status")),
    ("GET", "/v1/models/a%2Fb%3Ac+d%00", ("a/b:c+d\0", None, None, "status")),
    ("GET", "/v1/models/%ff", ("\udcff", None, None, "status")),
    ("GET", "/v1/models/m/versions/9223372036854775807", ("m", 2**63 - 1, None, "status")),
    ("POST", "/v1/models/m:predict", ("m", None, None, "predict")),
    ("POST", "/v1/models/m/versions/1:classify", ("m", 1, None, "classify")),
    ("POST", "/v1/models/m/labels/l:regress", ("m", None, "l", "regress")),
]
NONE = [
    ("GET", "/v1/models/"),
    ("GET", "/v1/models/m/"),
    ("GET", "/v1/models/m/versions"),
    ("GET", "/v1/models/m/versions/-1"),
    ("GET", "/v1/models/m/versions/1/labels/l"),
    ("GET", "/v1/models/m/metadata?x"),
    ("GET", "/v1/models/m:predict"),
    ("POST", "/v1/models/m"),
    ("POST", "/v1/models/m:Predict"),
    ("POST", "/v1/models/m:predict/"),
    ("POST", "/v1/models/m:predict?x"),
    ("POST", "/v1/models/m/versions/x:predict"),
    ("PUT", "/v1/models/m:predict"),
    ("HEAD", "/v1/models/m"),
]


@pytest.mark.parametrize(("method", "target", "parts"), TARGETS)
def test_targets(method: str, target: str, parts: tuple[str, int | None, str | None, str]) -> None:
    parsed = _parse_target(method, target)
    assert parsed is not None
    assert (parsed.model, parsed.version, parsed.label, parsed.action) == parts


@pytest.mark.parametrize(("method", "target"), NONE)
def test_malformed(method: str, target: str) -> None:
    assert _parse_target(method, target) is None


@pytest.mark.parametrize("digits", ["9223372036854775808", "9" * 100_000])
def test_versions_beyond_64_bits(digits: str) -> None:
    with pytest.raises(_BadVersion):
        _parse_target("GET", f"/v1/models/m/versions/{digits}")
