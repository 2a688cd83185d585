"""The gate as users and other processes meet it: the command, its page, and the queue of GATE_DIR."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import files
from bundle.errors import BundleError, UsageError
from bundle.settings import Settings
from rollout import gate, ledger
from rollout.gate import command, heldout, process, queue, remote
from rollout.gate.command import Asked
from tests.waiting import until

REAL_LAUNCH = process.launch


@pytest.fixture
def served(settings: Settings) -> Iterator[Settings]:
    """Settings whose GATE_DIR somebody looks after."""
    folder = settings.root / "gate"
    looking = remote.Gate(folder, settings)
    thread = threading.Thread(target=looking.serve)
    thread.start()
    until((folder / "alive").exists, "the gate shows a sign of life")
    yield dataclasses.replace(settings, gate_dir="./gate")
    looking.stop()
    thread.join()
    assert list(folder.iterdir()) == []


def test_check_prints_the_findings_and_its_page_shows_what_changed(
    models: Path, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    status = command.check(settings, Asked(models / "swapped_weights", models / "live", page=page))
    printed = capsys.readouterr()
    assert status == 3
    assert re.search(r"^failed +accuracy +accuracy 0.8000", printed.out, re.MULTILINE)
    assert printed.err.startswith("error: it would be refused: accuracy 0.8000 is 0.2000 below")
    text = page.read_text()
    assert "8 of 40 images got another answer" in text
    assert text.count("<img ") == 8  # Its own examples are the live version's: they are shown once.
    assert "live: d<br><span class='failed'>now: h</span><br>true: d" in text
    assert not re.search(r"(src|href)=['\"](?!data:)", text)


def test_check_as_json_in_a_fresh_process_of_its_own(
    models: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(process, "launch", REAL_LAUNCH)
    assert command.check(settings, Asked(models / "elsewhere", as_json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    verdicts = {each["name"]: each["verdict"] for each in document["findings"]}
    assert document["passed"] is True
    assert (verdicts["isolation"], verdicts["loads"], verdicts["accuracy"]) == ("passed", "passed", "skipped")


def test_what_is_no_version_is_a_usage_error(models: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"the folder is empty; expected a saved_model\.pb"):
        command.check(settings, Asked(tmp_path / "empty"))
    with pytest.raises(UsageError, match="--live takes the folder of one version"):
        command.check(settings, Asked(models / "live", live=tmp_path))


def test_a_gate_elsewhere_gives_the_same_report_and_what_it_made(models: Path, served: Settings) -> None:
    report = gate.run(models / "elsewhere", models / "live", served)
    assert report.passed, report.reason
    assert report.made is not None
    assert (report.made / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0
    files.remove(report.made)
    allowed = gate.run(models / "reads", models / "live", served, allow_ops=["ReadFile"])
    assert allowed.passed, allowed.reason
    noted = next(each for each in allowed.findings if each.name == "operations")
    assert noted.detail.endswith(f"allowed by --allow-op ReadFile ({ledger.who()})")
    refused = gate.run(models / "renamed", models / "live", served)
    assert "expected DT_FLOAT [-1, -1, -1, 3] as live" in refused.reason
    nowhere = gate.run(models / "nowhere", None, served)
    assert nowhere.reason.startswith("the gate sees no folder ")


def test_a_gate_elsewhere_measures_with_a_set_that_it_cannot_see(
    models: Path, served: Settings, tmp_path: Path
) -> None:
    """A copy lies beside the request for as long as that is answered; a version's set is where the version is."""
    own = heldout.of_version(models / "live")
    assert own is not None
    kept = tmp_path / "kept.zip"
    kept.write_bytes(heldout.pack(own))
    for held_out in (kept, models / "live"):
        report = gate.run(models / "swapped_elsewhere", models / "elsewhere", served, held_out=held_out)
        assert "below the live version's 1.0000 on 40 examples of the kept set" in report.reason
    kept.write_bytes(b"no set")
    report = gate.run(models / "elsewhere", models / "elsewhere", served, held_out=kept)
    assert "is not a held-out set (File is not a zip file); move it away" in report.reason


def test_without_a_sign_of_life_nobody_waits_for_long(
    models: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SILENCE_S", 0.5)
    lonely = dataclasses.replace(settings, gate_dir="./gate", check_timeout_seconds=3000)  # It ends before that.
    with pytest.raises(BundleError, match=r"no gate looks after .* start one with `rollout gate-serve"):
        gate.run(models / "live", None, lonely)
    assert list((settings.root / "gate").iterdir()) == []
