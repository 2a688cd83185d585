"""Verdicts on answers, times and room, from made-up figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import psutil
import pytest

from bundle.settings import Settings
from rollout.gate import answers, graph, room, speed
from rollout.gate.answers import Answered
from rollout.gate.version import Description
from tests.unit.bundle.parts import make_version
from tests.unit.bundle.test_manifest import SAMPLE

CLASSES = 4


def answered(right: int, count: int, live_right: int | None = None) -> Answered:
    """`count` examples of class 0, of which the first ones are answered rightly."""
    labels = (0,) * count
    live = None if live_right is None else _rows(live_right, count)
    return Answered("the test", (Path("x.png"),) * count, labels, _rows(right, count), labels, live)


def _rows(right: int, count: int) -> answers.Rows:
    return np.eye(CLASSES)[[0] * right + [1] * (count - right)]


@pytest.mark.parametrize(
    ("each", "verdict"),
    [
        (answered(97, 100, 100), "passed"),
        (answered(96, 100, 100), "failed"),
        (answered(9, 10, 10), "passed"),  # One image.
        (answered(8, 10, 10), "failed"),
        (answered(100, 100, 50), "passed"),
        (answered(20, 100), "passed"),
        (answered(19, 100), "failed"),
    ],
)
def test_accuracy_may_fall_by_the_limit_or_by_one_image(settings: Settings, each: Answered, verdict: str) -> None:
    assert answers.accuracy([each], settings).verdict == verdict


def test_the_worst_of_the_sets_counts(settings: Settings) -> None:
    finding = answers.accuracy([answered(100, 100, 90), answered(80, 100, 100)], settings)
    assert "accuracy 0.8000 is 0.2000 below the live version's 1.0000 on 100 examples" in finding.detail


def test_an_answer_that_is_no_number_is_wrong() -> None:
    rows = _rows(3, 3)
    rows[1, 2] = np.nan
    each = dataclasses.replace(answered(3, 3, 3), rows=rows)
    assert (each.right, each.live_right) == (2, 3)
    assert list(answers.same_class(each)) == [True, False, True]


def test_agreement_goes_by_what_an_index_means() -> None:
    """The live version has the classes in another order, and gives the same answers."""
    swapped = {0: 1, 1: 0, 2: 2, 3: 3}
    labels = (0, 1, 2, 3)
    live_labels = tuple(swapped[label] for label in labels)
    each = Answered("x", (Path("x"),) * 4, labels, np.eye(4), live_labels, np.eye(4)[list(live_labels)])
    assert answers.agreement([each]).figures == {"agreement": 1.0, "examples": 4}


@pytest.mark.parametrize("off", [0.01, np.nan, np.inf])
def test_logits_that_are_off_or_no_numbers_are_refused(off: float) -> None:
    expected = np.array([example.logits for example in SAMPLE.examples])
    good = answers.reproduces(SAMPLE, {"a": expected, "b": expected + 1e-5})
    assert (good.verdict, good.figures["examples"]) == ("passed", 1)
    bad = answers.reproduces(SAMPLE, {"a": expected + off, "b": expected})
    assert bad.verdict == "failed"
    assert bad.detail.startswith("a differs from the logits in its manifest by ")


def test_logits_of_another_number_of_classes_are_refused() -> None:
    assert answers.reproduces(SAMPLE, {"a": np.zeros((1, 5))}).verdict == "failed"


def test_another_signature_is_compared_with_the_live_version_and_named_when_it_is_worse(settings: Settings) -> None:
    main = answered(100, 100, 100)
    other = dataclasses.replace(answered(90, 100, 100), where="output_0 of serving_default")
    finding = answers.accuracy([main, other], settings)
    assert finding.verdict == "failed"
    assert finding.detail.count("by output_0 of serving_default") == 1
    assert finding.figures == {
        "accuracy on the test": 1.0,
        "examples of the test": 100,
        "live accuracy on the test": 1.0,
    }
    # Alone it says nothing, however few it gets right: the output may be no answer to the question.
    assert answers.accuracy([main, dataclasses.replace(other, live_rows=None)], settings).verdict == "passed"


@pytest.mark.parametrize(
    ("ours", "theirs", "slow"), [(2.1e-3, 1e-3, True), (1.9e-3, 1e-3, False), (1.6e-4, 2e-5, False)]
)
def test_a_slowdown_counts_when_a_client_could_notice(ours: float, theirs: float, slow: bool) -> None:
    assert speed._is_too_slow(ours, theirs, 2.0) is slow


def test_a_version_needs_room_for_its_copy(tmp_path: Path, settings: Settings) -> None:
    outside = make_version(tmp_path / "outside")
    assert "are free in" in room.on_disk(outside, settings).detail
    staged = make_version(settings.models_dir / "M" / ".staging-x")
    assert "already" in room.on_disk(staged, settings).detail


def test_two_versions_must_fit_into_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.in_memory(50e6, 50e6, settings).verdict == "passed"
    assert room.in_memory(psutil.virtual_memory().total * 2, 0, settings).verdict == "failed"
    three = 3 << 30
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 << 30}))
    verdicts = {
        engine: room.in_memory(three, three, dataclasses.replace(settings, engine=engine)).verdict
        for engine in ("local", "auto", "embedded")
    }
    assert verdicts == {"local": "passed", "auto": "noted", "embedded": "failed"}


@pytest.mark.parametrize(
    ("engine", "image", "made", "verdict"),
    [
        ("local", "x:1.0", "2.19.1", "passed"),
        ("local", "x:1.0", "2.20.0", "failed"),
        ("cpu", "tensorflow/serving:2.18.0", "2.19.1", "failed"),
        ("cpu", "tensorflow/serving:2.19.0", "2.19.1", "passed"),
        ("cpu", "mine/server:latest", "1.15.5", "passed"),
        ("local", "x:1.0", "", "noted"),
    ],
)
def test_the_servers_tensorflow_decides(settings: Settings, engine: str, image: str, made: str, verdict: str) -> None:
    chosen = dataclasses.replace(settings, engine=engine, serving_cpu_image=image)
    description = Description(made, "2.19.1", (), {}, ())
    assert graph.tensorflow(description, chosen).verdict == verdict
