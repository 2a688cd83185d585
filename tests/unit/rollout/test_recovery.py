"""What a killed watcher left is finished by the next: no dropped folder is lost, none published twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bundle.settings import Settings
from bundle.versions import HIGH_WATER, version_folders
from rollout import gate
from rollout.client import Client
from rollout.drop import CLAIM_PREFIX, Dropbox
from rollout.model import Model
from rollout.watch import Watcher
from tests.unit.bundle.parts import MODEL, finish, killed_after, make_version, python
from tests.unit.rollout.stand_in import StandIn
from tests.waiting import until

WATCH = """
import sys, time
from pathlib import Path
from bundle.environment import load
from rollout import gate, interrupt, lane, watch
from rollout.client import Client
lane._PENDING_TICK_S, lane._PROVEN_QUIET_S = 0.03, 0.1
root, port, check_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def run(candidate, live, settings, **_):
    print("checking", flush=True)
    until = time.monotonic() + check_s
    while time.monotonic() < until:
        interrupt.look_up()
        time.sleep(0.05)
    return gate.Report.of([])
gate.run = run
short = {"DROP_QUIET_SECONDS": "0.3", "READY_TIMEOUT_SECONDS": "60", "WATCH_SECONDS": "0", "KEEP_VERSIONS": "50"}
sys.exit(watch.main(load(root, short), Client("127.0.0.1", port, 1), None))
"""


@pytest.fixture
def box(model: Model) -> Dropbox:
    box = Dropbox(model)
    box.recover()
    return box


def contents(base: Path) -> list[bytes]:
    return [(folder / "saved_model.pb").read_bytes() for folder in version_folders(base).values()]


def start_watcher(root: Path, server: StandIn, check_s: float) -> subprocess.Popen[str]:
    return python(WATCH, root, server.port, check_s)


def test_killed_between_claim_and_publish_the_next_one_publishes(
    root: Path, server: StandIn, base: Path, settings: Settings
) -> None:
    drop = settings.drop_dir / MODEL
    make_version(drop / "mine")
    with killed_after(start_watcher(root, server, 60)) as watcher:
        until((drop / f"{CLAIM_PREFIX}mine").is_dir, "for the claim")
        os.kill(watcher.pid, signal.SIGKILL)
    assert version_folders(base) == {}
    with killed_after(start_watcher(root, server, 0)) as watcher:
        until(lambda: list(version_folders(base)) == [1] and not list(drop.iterdir()), "for version 1")
        watcher.send_signal(signal.SIGTERM)
        assert "stopped" in finish(watcher)
        assert watcher.returncode == 0


def test_sigterm_interrupts_a_check_and_the_next_one_takes_the_folder_up(
    root: Path, server: StandIn, base: Path, settings: Settings
) -> None:
    drop = settings.drop_dir / MODEL
    make_version(drop / "mine")
    with killed_after(start_watcher(root, server, 60)) as watcher:
        assert watcher.stdout is not None
        assert "checking\n" in watcher.stdout
        watcher.send_signal(signal.SIGTERM)
        assert "interrupted; ResnetModel/mine waits for the next start" in finish(watcher)
        assert watcher.returncode == 0
    assert [path.name for path in drop.iterdir() if not path.name.startswith(".")] == ["mine"]
    assert not list(base.glob(".staging-*"))


def test_kills_at_random_moments_lose_nothing_and_publish_nothing_twice(
    root: Path, server: StandIn, base: Path, settings: Settings
) -> None:
    drop = settings.drop_dir / MODEL
    chance = random.Random(3)
    dropped = [f"candidate {n}".encode() for n in range(6)]
    for n, content in enumerate(dropped):
        make_version(drop / f"c{n}", content, files=20)
        with killed_after(start_watcher(root, server, 0.1)) as watcher:
            assert watcher.stdout is not None
            assert "watching" in watcher.stdout.readline()
            time.sleep(chance.uniform(0.3, 0.8))
            os.kill(watcher.pid, signal.SIGKILL)
    with killed_after(start_watcher(root, server, 0)) as watcher:
        until(lambda: not list(drop.iterdir()), "for the drop folder to be empty")
    assert sorted(contents(base)) == dropped


def test_a_claim_that_went_live_is_not_published_again(box: Dropbox, base: Path) -> None:
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"mine")
    (box.folder / ".published-mine").write_text("1\n")
    make_version(base / "1", b"mine")
    box.recover()
    assert list(box.folder.iterdir()) == []
    assert contents(base) == [b"mine"]


def test_a_claim_whose_version_was_withdrawn_since_is_not_published_again(box: Dropbox, base: Path) -> None:
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"mine")
    (box.folder / ".published-mine").write_text("1\n")
    make_version(box.model.quarantine / "1", b"mine")
    box.recover()
    assert list(box.folder.iterdir()) == []


def test_a_claim_that_did_not_go_live_is_put_back(box: Dropbox, base: Path) -> None:
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"mine")
    (box.folder / ".published-mine").write_text("1\n")
    base.mkdir(parents=True)
    (base / HIGH_WATER).write_text("1\n")
    box.recover()
    assert [path.name for path in box.folder.iterdir()] == ["mine"]


def test_an_old_note_does_not_swallow_the_next_drop_of_that_name(box: Dropbox, base: Path) -> None:
    """Killed between the removal of the claim and that of the note, the note stays."""
    (box.folder / ".published-mine").write_text("1\n")
    make_version(base / "1", b"first")
    box.recover()
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"second")  # Killed in the check of a new one.
    box.recover()
    assert (box.folder / "mine" / "saved_model.pb").read_bytes() == b"second"


def test_a_damaged_note_counts_as_none(box: Dropbox) -> None:
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"mine")
    (box.folder / ".published-mine").write_text("")
    box.recover()
    assert [path.name for path in box.folder.iterdir()] == ["mine"]


def test_a_claim_and_a_new_drop_of_the_same_name_are_both_published(
    box: Dropbox, settings: Settings, client: Client, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "run", lambda *_, **__: gate.Report.of([]))
    make_version(box.folder / f"{CLAIM_PREFIX}mine", b"old")
    make_version(box.folder / "mine", b"new")
    watcher = Watcher(settings, client)

    def both_are_live() -> bool:
        watcher.look()
        return len(version_folders(base)) == 2

    until(both_are_live, "for both versions")
    assert sorted(contents(base)) == [b"new", b"old"]
    assert list(box.folder.iterdir()) == []
