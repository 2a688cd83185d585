"""A canary begins, ends well, ends badly, and is cut short; models.config is each time what it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import pins, publish
from bundle.errors import BundleError, RefusedVersion, UsageError
from bundle.pins import Pins
from bundle.versions import version_folders
from rollout import canary, gate, labels, ledger, probe, release
from rollout.labels import Canary
from rollout.model import Model
from rollout.release import Order
from tests.unit.bundle.parts import digest, make_version
from tests.unit.rollout.stand_in import BROKEN


@pytest.fixture
def model(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """Version 1 is live, and every candidate passes the gate; afterwards models.config is as it was."""
    monkeypatch.setattr(gate, "run", lambda *_, **__: gate.Report.of([]))
    before = model.config.read_text()
    make_version(model.base_path / "1", b"one")
    yield model
    assert model.config.read_text() == before


def order(tmp_path: Path, content: bytes = b"two") -> Order:
    return Order(make_version(tmp_path / f"source of {content!r}", content), "a test")


def events(model: Model) -> list[tuple[str, int | None]]:
    return [(entry.event, entry.version) for entry in model.ledger.entries() if entry.version]


def test_a_candidate_is_loaded_below_the_live_version_and_promoted(model: Model, tmp_path: Path) -> None:
    wanted = order(tmp_path)
    assert canary.start(model, wanted) == Canary(live=1, number=2)
    assert model.available() == [1, -2]
    assert model.live() == 1
    assert pins.read(model.config, model.name) == Pins((1, -2), {"stable": 1, "canary": -2})
    assert labels.under_way(model) == Canary(1, 2)
    assert canary.promote(model, wanted).number == 2
    assert digest(model.base_path / "2") == digest(wanted.source)
    assert list(version_folders(model.base_path)) == [1, 2]
    assert events(model)[-5:] == [
        (ledger.CANARY, 2),
        (ledger.PUBLISHING, 2),
        (ledger.PUBLISHED, 2),
        (ledger.AVAILABLE, 2),
        (ledger.PROMOTED, 2),
    ]


def test_an_aborted_candidate_is_in_quarantine_and_its_number_used_up(model: Model, tmp_path: Path) -> None:
    canary.start(model, order(tmp_path))
    canary.abort(model, "no better")
    assert (model.quarantine / "2" / "saved_model.pb").read_bytes() == b"two"
    assert model.available() == [1]
    assert events(model)[-1] == (ledger.ABORTED, 2)
    assert release.release(model, order(tmp_path)).number == 3


def test_a_candidate_that_does_not_load_is_taken_back(model: Model, tmp_path: Path) -> None:
    with pytest.raises(RefusedVersion, match=r"the candidate was taken back: .*it cannot be loaded"):
        canary.start(model, order(tmp_path, BROKEN))
    assert model.available() == [1]
    assert (model.quarantine / "2.reason.txt").is_file()
    assert events(model)[-1] == (ledger.FAILED, 2)


def test_a_candidate_that_answers_wrongly_is_taken_back(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> None:
        raise probe.WrongAnswers("00.png is answered with [1, 2]")

    monkeypatch.setattr(probe, "require_right_answers", wrong)
    with pytest.raises(RefusedVersion, match=r"taken back: 00\.png is answered with"):
        canary.start(model, order(tmp_path))
    assert model.available() == [1]


def test_an_interrupted_start_leaves_nothing(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(probe, "require_right_answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        canary.start(model, order(tmp_path))
    assert list(version_folders(model.base_path)) == [1]
    assert labels.under_way(model) is None


def test_a_promotion_that_fails_leaves_the_canary(model: Model, tmp_path: Path) -> None:
    canary.start(model, order(tmp_path))
    (model.base_path / "-2" / "saved_model.pb").write_bytes(BROKEN)  # Nobody does that; a disk may.
    with pytest.raises(RefusedVersion, match="version 2 was taken back"):
        canary.promote(model, order(tmp_path))
    assert pins.read(model.config, model.name) == Pins((1, -2), {"stable": 1, "canary": -2})
    canary.abort(model, "broken")
    assert model.available() == [1]


CUT_SHORT = {
    "after the publish": Pins((1, -2), {"stable": 1, "canary": -2}),
    "before the labels": Pins((1, -2, 2), {"stable": 1, "canary": -2}),
    "before the end": Pins((2,), {"stable": 2, "canary": 2}),
}


@pytest.mark.parametrize("when", CUT_SHORT)
def test_a_promotion_that_was_cut_short_is_finished_by_the_next(when: str, model: Model, tmp_path: Path) -> None:
    canary.start(model, order(tmp_path))
    with publish.staged(model.base_path / "-2", model.base_path, model.quarantine) as staged:
        publish.go_live(staged, model.base_path, model.quarantine, number=2)
    pins.write(model.config, model.name, CUT_SHORT[when])
    with pytest.raises(UsageError, match="version 2 is half promoted; finish that: make promote"):
        canary.abort(model, "no")
    assert canary.promote(model, order(tmp_path)).number == 2
    assert model.available() == [2]
    assert list(version_folders(model.base_path)) == [1, 2]


def test_what_a_canary_needs_is_said(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing is running; a canary needs a server"):
        canary.start(dataclasses.replace(model, client=None), order(tmp_path))
    canary.start(model, order(tmp_path))
    with pytest.raises(UsageError, match="end it first: make promote, or make abort"):
        canary.start(model, order(tmp_path))
    canary.abort(model, "enough")
    publish.withdraw(model.base_path, 1, model.quarantine, "by hand")
    with pytest.raises(UsageError, match="holds no version to compare with"):
        canary.start(model, order(tmp_path))
    with pytest.raises(BundleError, match="no canary"):
        canary.promote(model, order(tmp_path))
