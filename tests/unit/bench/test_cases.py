from __future__ import annotations

import itertools

import pytest

from bench import cases
from bundle.errors import UsageError


def test_without_a_pattern_everything_is_measured() -> None:
    everything = cases.select([], cases.CLIENTS)
    assert len(everything) == 3 * 2 * 4 * 4
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["lenet-28/rest-bytes"], {"lenet-28/plain/rest-bytes", "lenet-28/frozen/rest-bytes"}),
        (["rest-json/plain/resnet-32"], {"resnet-32/plain/rest-json"}),
        (["resnet-224/frozen/grpc-bytes", "lenet-28/plain/rest-json"], None),
    ],
)
def test_a_pattern_selects_by_its_words_in_any_order(patterns: list[str], names: set[str] | None) -> None:
    selected = {case.name for case in cases.select(patterns, [1])}
    assert selected == (names or set(patterns))


def test_a_model_is_measured_in_one_go() -> None:
    models = [case.model for case in cases.select(["resnet-32", "rest-json"], [1, 16])]
    changes = sum(before != after for before, after in itertools.pairwise(models))
    assert changes == len(set(models)) - 1


def test_an_unknown_word_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"lenet: no such model.*lenet-28"):
        cases.select(["lenet/rest-json"], [1])
