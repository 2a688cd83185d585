"""Releasing, going back, retiring and what the ledger says of it, over real folders; the gate is taken for granted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bundle import pins, publish
from bundle.errors import BundleError, RefusedVersion, UsageError
from bundle.pins import Pins
from bundle.versions import version_folders
from rollout import gate, history, ledger, release, restore, retention, rollback
from rollout.model import Model
from rollout.release import Order
from tests.unit.bundle.parts import digest, make_version
from tests.unit.rollout.stand_in import BROKEN

REFUSED = b"refuse this one"


@pytest.fixture(autouse=True)
def gated(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The live folders that candidates were compared with; all pass but those that hold REFUSED."""
    compared: list[Path | None] = []

    def run(candidate: Path, live: Path | None, *_: object, **__: object) -> gate.Report:
        assert candidate.name.startswith(publish.STAGING_PREFIX)
        compared.append(live)
        passed = (candidate / "saved_model.pb").read_bytes() != REFUSED
        finding = gate.Finding("accuracy", "passed" if passed else "failed", "0.42 is too low", figures={"value": 0.42})
        return gate.Report.of([finding])

    monkeypatch.setattr(gate, "run", run)
    return compared


def order(tmp_path: Path, content: bytes = b"graph", **changes: object) -> Order:
    source = make_version(tmp_path / f"source of {content!r}", content)
    return dataclasses.replace(Order(source, "a test"), **changes)  # type: ignore[arg-type]


def events(model: Model) -> list[tuple[str, int | None]]:
    return [(entry.event, entry.version) for entry in model.ledger.entries()]


def test_a_release_is_served_and_its_ledger_tells_each_step(
    model: Model, tmp_path: Path, gated: list[Path | None]
) -> None:
    assert release.release(model, order(tmp_path)).number == 1
    assert release.release(model, order(tmp_path, b"better")).number == 2
    assert gated == [None, model.base_path / "1"]
    assert model.live() == 2
    steps = ["publishing", "published", "available"]
    assert events(model) == [
        (event, version if event != "checked" else None) for version in (1, 2) for event in ("checked", *steps)
    ]
    first = model.ledger.entries()[0]
    assert (first.verdicts, first.figures) == ({"accuracy": "passed"}, {"accuracy.value": 0.42})


def test_a_refused_candidate_comes_nowhere_near(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))
    with pytest.raises(RefusedVersion, match=r"a test was refused: 0\.42 is too low"):
        release.release(model, order(tmp_path, REFUSED))
    assert list(version_folders(model.base_path)) == [1]
    assert not list(model.base_path.glob(f"{publish.STAGING_PREFIX}*"))
    last = model.ledger.entries()[-1]
    assert (last.event, last.version, last.reason) == (ledger.REFUSED, None, "0.42 is too low")


def test_a_dry_run_publishes_nothing(model: Model, tmp_path: Path) -> None:
    assert release.check(model, order(tmp_path)).passed
    assert not release.check(model, order(tmp_path, REFUSED)).passed
    assert events(model) == []
    assert model.folders() == {}


def test_what_the_server_cannot_load_is_taken_back_with_its_words(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))
    with pytest.raises(RefusedVersion, match=r"version 2 was taken back: .*FAILED_PRECONDITION: it cannot be loaded"):
        release.release(model, order(tmp_path, BROKEN))
    assert model.live() == 1
    assert "it cannot be loaded" in (model.quarantine / "2.reason.txt").read_text()
    assert events(model)[-1] == (ledger.FAILED, 2)


def test_a_version_that_somebody_takes_out_meanwhile_is_not_waited_for(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))

    def take_out() -> None:
        publish.withdraw(model.base_path, 2, model.quarantine, "on second thoughts")

    with pytest.raises(BundleError, match="by somebody else"):
        release.release(model, order(tmp_path, b"second", published=take_out))
    assert model.live() == 1


def test_the_gate_is_asked_again_when_the_live_version_changed_meanwhile(
    model: Model, tmp_path: Path, gated: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"one", b"two"):
        release.release(model, order(tmp_path, content))
    run = gate.run

    def roll_back_meanwhile(candidate: Path, *rest: object, **options: object) -> gate.Report:
        if model.live() == 2:
            rollback.roll_back(model, None, "meanwhile")
        return run(candidate, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "run", roll_back_meanwhile)
    gated.clear()
    assert release.release(model, order(tmp_path, b"three")).number == 3
    assert gated == [model.base_path / "2", model.base_path / "1"]


def test_a_number_of_ones_own_must_be_new(model: Model, tmp_path: Path) -> None:
    assert release.release(model, order(tmp_path, number=7)).number == 7
    for used in (7, 3):
        with pytest.raises(UsageError, match=f"VERSION={used} was used already: give a number above 7"):
            release.release(model, order(tmp_path, number=used))
    assert release.release(model, order(tmp_path)).number == 8


def test_nothing_is_released_while_models_config_pins_versions(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))
    pins.write(model.config, model.name, Pins((1, -2), {"stable": 1, "canary": -2}))
    with pytest.raises(UsageError, match="a canary of ResnetModel is under way; end it first: make promote"):
        release.release(model, order(tmp_path))
    with pytest.raises(UsageError, match="a canary"):
        rollback.roll_back(model, None, "no")


def test_rolling_back_serves_the_one_before_and_restoring_brings_it_home(model: Model, tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        release.release(model, order(tmp_path, content))
    before = digest(model.base_path / "2")
    assert rollback.roll_back(model, None, "slow") == 1
    assert model.live() == 1
    assert (model.quarantine / "2.reason.txt").read_text() == "slow\n"
    assert events(model)[-2:] == [(ledger.ROLLED_BACK, 2), (ledger.AVAILABLE, 1)]
    assert restore.restore(model, 2, order(tmp_path)).number == 2
    assert digest(model.base_path / "2") == before
    assert list(model.quarantine.iterdir()) == []
    assert events(model)[-1] == (ledger.RESTORED, 2)


def test_rolling_back_further_takes_out_all_in_between(model: Model, tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three", b"four"):
        release.release(model, order(tmp_path, content))
    with pytest.raises(UsageError, match=r"no whole version 9 below the live version 4; it holds 1, 2, 3, 4"):
        rollback.roll_back(model, 9, "no")
    assert rollback.roll_back(model, 2, "far") == 2
    assert sorted(path.name for path in model.quarantine.glob("[0-9]")) == ["3", "4"]
    assert restore.restore(model, 3, order(tmp_path)).number == 3
    # 2 returns as something newer than 3, so it cannot keep its number.
    rollback.roll_back(model, 1, "further")
    restore.restore(model, 3, order(tmp_path))
    assert restore.restore(model, 2, order(tmp_path)).number == 5


def test_the_last_version_cannot_be_rolled_back(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no version; run: make train"):
        rollback.roll_back(model, None, "no")
    release.release(model, order(tmp_path))
    with pytest.raises(UsageError, match="holds no whole version below the live one"):
        rollback.roll_back(model, None, "no")
    assert model.live() == 1


def test_a_version_that_does_not_load_is_not_gone_back_to(model: Model, tmp_path: Path) -> None:
    make_version(model.base_path / "1", BROKEN)
    make_version(model.base_path / "2", b"live")
    with pytest.raises(BundleError, match="version 1 does not load, so version 2 stays live"):
        rollback.roll_back(model, None, "no")
    assert model.live() == 2
    assert list(model.quarantine.iterdir()) == []


def test_old_versions_are_retired_but_never_the_live_one(model: Model, tmp_path: Path) -> None:
    few = dataclasses.replace(model, settings=dataclasses.replace(model.settings, keep_versions=2))
    make_version(model.base_path / "1", b"live")
    for number in (2, 3, 4, 5):
        make_version(model.base_path / str(number), BROKEN)
    assert retention.retire_old(few) == [2, 3]
    assert list(version_folders(model.base_path)) == [1, 4, 5]
    assert not list(model.base_path.glob(f"{publish.RETIRED_PREFIX}*"))


def test_the_ledger_catches_up_with_what_was_done_without_it(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))
    make_version(model.base_path / "5")  # By hand.
    model.ledger.append(ledger.PUBLISHING, 6)
    model.ledger.append(ledger.PUBLISHING, 7)
    make_version(model.base_path / "7")  # Killed after the rename.
    publish.withdraw(model.base_path, 1, model.quarantine, "by hand")
    before = len(events(model))
    with release.turn(model):
        pass
    assert sorted(events(model)[before:]) == [
        (ledger.FAILED, 6),
        (ledger.FOUND, 5),
        (ledger.PUBLISHED, 7),
        (ledger.ROLLED_BACK, 1),
    ]
    with release.turn(model):
        pass
    assert len(events(model)) == before + 4


def test_a_candidate_left_by_a_killed_canary_is_cleared(model: Model, tmp_path: Path) -> None:
    release.release(model, order(tmp_path))
    make_version(model.base_path / "-2")
    make_version(model.base_path / "-1")  # Promoted as 1, and not yet removed.
    with release.turn(model):
        pass
    assert list(version_folders(model.base_path)) == [1]
    assert (model.quarantine / "2" / "saved_model.pb").is_file()
    assert events(model)[-1] == (ledger.ABORTED, 2)


def test_the_ledger_says_which_operations_were_let_pass_and_by_whom(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release.release(model, order(tmp_path, allow_ops=("ReadFile", "WriteFile")))
    checked = model.ledger.entries()[0]
    assert (checked.event, checked.reason) == (ledger.CHECKED, "--allow-op ReadFile --allow-op WriteFile")
    assert checked.who == ledger.who()
    with pytest.raises(RefusedVersion):
        release.release(model, order(tmp_path, REFUSED, allow_ops=("ReadFile",)))
    assert model.ledger.entries()[-1].reason == "--allow-op ReadFile; 0.42 is too low"
    history.show(model.settings, as_json=False)
    assert "--allow-op ReadFile --allow-op WriteFile" in capsys.readouterr().out
