"""What `rollout status` shows of a real server's answers and of real folders."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bundle import manifest, publish
from bundle.environment import load
from bundle.settings import Settings
from rollout import ledger, processes, stack, status
from rollout.engines.choose import build
from rollout.ledger import Ledger
from rollout.observe import Counters
from tests.unit.bundle.parts import MODEL, make_version
from tests.unit.bundle.test_manifest import SAMPLE
from tests.unit.rollout.stand_in import BROKEN, StandIn
from tests.unit.rollout.test_observe import page


@pytest.fixture
def running(settings: Settings, server: StandIn) -> Iterator[Settings]:
    """The stack as `up` leaves it; the process that runs this test stands for model-server."""
    settings = dataclasses.replace(settings, rest_port=server.port)
    stack.remember(build("local", settings))
    me = psutil.Process()
    record = {"pid": me.pid, "identity": processes.identity(me)}
    (settings.root / ".run" / "model-server.json").write_text(json.dumps(record))
    yield settings
    stack.forget(settings)


def test_nothing_running_is_status_1_with_what_to_type(
    settings: Settings, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.show(settings) == 1
    output = capsys.readouterr().out
    assert "nothing is running; run: make up" in output
    assert f"no version in {base}; run: make train" in output


def test_versions_on_disk_are_shown_without_a_server(
    settings: Settings, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write(make_version(base / "1"), SAMPLE)
    make_version(base / "2")
    odd = make_version(base / "3")
    manifest.manifest_path(odd).parent.mkdir()
    manifest.manifest_path(odd).write_text("[]")
    assert status.show(settings) == 1
    one, two, three = sorted(line for line in capsys.readouterr().out.splitlines() if "version " in line)
    assert "not loaded" in one
    assert "LenetModel, test accuracy 0.9750" in one
    assert "no manifest" in two
    assert "unreadable manifest" in three


def test_a_running_stack_shows_states_and_errors(
    running: Settings, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(base / "1")
    make_version(base / "2", BROKEN)
    # The ports that `up` was given are remembered: the settings of this call have the defaults.
    assert status.show(load(running.root)) == 0
    output = capsys.readouterr().out
    assert f"engine: local at http://127.0.0.1:{running.rest_port}" in output
    lines = output.splitlines()
    broken = next(n for n, line in enumerate(lines) if line.startswith("  version 2"))
    assert "END" in lines[broken]
    assert "FAILED_PRECONDITION: it cannot be loaded" in lines[broken + 1]
    assert any("version 1" in line and "AVAILABLE" in line for line in lines)


def test_what_is_served_and_no_longer_on_disk_is_marked(
    running: Settings, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {"version": "9", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    server.answer = (200, json.dumps({"model_version_status": [entry]}).encode())
    assert status.show(running) == 0
    assert "AVAILABLE, not on disk" in capsys.readouterr().out


def test_a_server_that_gives_no_sense_is_a_warning(
    running: Settings, server: StandIn, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(base / "1")
    server.answer = (500, b"out of order")
    assert status.show(running) == 0
    captured = capsys.readouterr()
    assert "500 out of order" in captured.err
    assert "version 1" in captured.out


def test_drop_and_quarantine_are_listed_with_reasons(
    settings: Settings, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(settings.drop_dir / MODEL / "waiting")
    make_version(settings.drop_dir / MODEL / ".checking-mine")
    make_version(settings.drop_dir / MODEL / ".copying")
    (settings.drop_dir / "stray").mkdir()
    make_version(base / "1")
    publish.withdraw(base, 1, settings.quarantine_dir / MODEL, "it answers nonsense")
    status.show(settings)
    output = capsys.readouterr().out
    assert "in drop           waiting" in output
    assert "being checked     mine" in output
    assert "copying" not in output
    assert "in quarantine     1: it answers nonsense" in output
    assert "models.config lists no model stray" in output


def test_a_live_version_shows_its_requests_since_it_is_live(
    running: Settings, server: StandIn, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(base / "1")
    make_version(base / "2")
    book = Ledger(running.releases_dir / f"{MODEL}.jsonl")
    book.append(ledger.AVAILABLE, 1)
    book.append(ledger.AVAILABLE, 2, figures=Counters(100, 1, {10_000.0: 100}).figures())
    server.page = page(fast=300, failed=3)
    status.show(running)
    lines = capsys.readouterr().out.splitlines()
    two = next(n for n, line in enumerate(lines) if line.startswith("  version 2"))
    assert re.fullmatch(
        r"    live since 20[-0-9]+ [:0-9]+: 202 requests, 2 failed, p50 5\.5 ms, p99 9\.91 ms", lines[two + 1]
    )
    one = next(n for n, line in enumerate(lines) if line.startswith("  version 1"))
    assert re.fullmatch(r"    live until .*: 101 requests, 1 failed, .*", lines[one + 1])


def test_a_stack_that_died_is_not_running(running: Settings) -> None:
    assert stack.running(running) is not None
    record = {"pid": psutil.Process().pid, "identity": "another"}
    (running.root / ".run" / "model-server.json").write_text(json.dumps(record))
    assert stack.running(running) is None
    assert stack.remembered(running) is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', '{"engine": "local"}'])
def test_a_damaged_record_of_the_stack_counts_as_none(running: Settings, text: str) -> None:
    (running.root / ".run" / "stack.json").write_text(text)
    assert stack.remembered(running) is None
