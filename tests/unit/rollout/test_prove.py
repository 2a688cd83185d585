"""The proof counts what it must not overlook: failures, answers of refused versions, answers of the wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import requests

from rollout.client import Client
from rollout.prove import report
from rollout.prove.candidates import Question
from rollout.prove.day import Event
from rollout.prove.load import Answer, Load
from tests.unit.bundle.parts import MODEL
from tests.unit.rollout.stand_in import StandIn

EVENTS = [Event("version 1 serves", 0, 10, frozenset("1")), Event("canary of version 3", 10, 20, frozenset("1"))]


QUESTION = Question(b"image", np.zeros((1, 1, 3), np.float32))


def answer(at_s: float, version: str, kind: str = "REST serving_bytes", took_s: float = 0.002) -> Answer:
    return Answer(at_s, took_s, kind, version)


def test_answers_are_counted_in_the_event_that_they_were_sent_in() -> None:
    found = report.result(
        EVENTS, [answer(1, "1"), answer(2, "failed"), answer(9, "1", took_s=0.1), answer(11, "1"), answer(12, "1")]
    )
    assert [(row.sent, row.failed, row.slow, row.wrong) for row in found.rows] == [(3, 1, 1, 0), (2, 0, 0, 0)]
    assert (found.sent, found.failed, found.wrong) == (5, 1, 0)


def test_a_canary_may_answer_under_its_label_alone() -> None:
    assert report.result(EVENTS, [answer(11, "3", "REST canary"), answer(12, "1")]).wrong == 0
    assert report.result(EVENTS, [answer(11, "3"), answer(12, "1", "REST canary"), answer(1, "3")]).wrong == 3


def test_a_refused_version_that_answered_is_in_the_page(tmp_path: Path) -> None:
    found = report.result(EVENTS, [answer(1, "swapped"), answer(11, "1"), answer(12, "unknown")])
    assert found.by("swapped") == 1
    report.write(found, "local", tmp_path)
    page = (tmp_path / "prove.md").read_text()
    assert "**3 requests in 20 s, 1 failed, 1 answered by a version that was refused, 1 by one" in page
    assert "| 10 s | canary of version 3 | 2 | 1 | 0 | 2 ms | 1: 1, unknown: 1 |" in page
    assert "version 1" in (tmp_path / "prove.svg").read_text()


@pytest.mark.parametrize(("logits", "version"), [([1.0, 0.0], "1"), ([0.0, 1.001], "2"), ([0.5, 0.5], "unknown")])
def test_an_answer_is_traced_to_the_version_that_gives_it(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, logits: list[float], version: str
) -> None:
    known = {name: {"serving_bytes": np.array([row], np.float32)} for name, row in (("1", [1, 0]), ("2", [0, 1]))}
    load = Load(Client("127.0.0.1", server.port, 1), MODEL, [QUESTION], known, 100)
    assert load._version_of("serving_bytes", 0, np.array(logits, np.float32)) == version


def test_no_answer_is_a_failure(server: StandIn) -> None:
    load = Load(Client("127.0.0.1", server.port, 1), MODEL, [QUESTION], {}, 100)
    with load.to_label("canary"):
        while not load.answers:
            requests.get(f"http://127.0.0.1:{server.port}/v1/models/{MODEL}", timeout=5)
    assert load.answers[0].failed
    assert load.answers[0].problem
