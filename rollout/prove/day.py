"""The scripted day: what is done to the bundle while the load goes on, and which version may answer meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bundle import output
from bundle.errors import RefusedVersion, UncheckedVersion
from rollout.prove.bundle_copy import MODEL, BundleCopy, until
from rollout.prove.load import Load


@dataclasses.dataclass(frozen=True)
class Event:
    """A stretch of the day. `may_answer` are the versions that unlabelled requests sent in it may be answered by."""

    name: str
    began_s: float
    ended_s: float
    may_answer: frozenset[str]


class Day:
    """Runs the script; `folders` holds the good versions 1, 2, 3 and the bad ones by name."""

    def __init__(self, bundle: BundleCopy, load: Load, folders: Mapping[str, Path], quiet_s: float) -> None:
        self.events: list[Event] = []
        self._bundle = bundle
        self._load = load
        self._folders = folders
        self._quiet_s = quiet_s
        self._drop = bundle.root / "drop" / MODEL
        self._quarantine = bundle.root / "quarantine" / MODEL

    def run(self, short: bool) -> None:
        """Every event of the day; without those that take a minute of waiting when `short`."""
        self._quiet("1")
        self._publish_2()
        self._canary_and_promote()
        self._roll_back()
        self._half_copied_drop()
        self._refused("swapped", "two classes swapped", "accuracy")
        if not short:
            self._refused("crashing", "crashes at load", "")
            self._refused("hanging", "hangs at load", "CHECK_TIMEOUT_SECONDS", UncheckedVersion.exit_status)
        self._broken_config()
        self._restart_with_a_bad_newest()
        self._quiet("2")

    def _publish_2(self) -> None:
        with self._event("publish version 2", "1", "2"):
            self._rollout("publish", self._folders["2"])
        self._quiet("2")

    def _canary_and_promote(self) -> None:
        with self._event("canary of version 3", "2"):
            self._rollout("canary", self._folders["3"])
            with self._load.to_label("canary"):
                time.sleep(self._quiet_s)
        with self._event("promote version 3", "2", "3"):
            self._rollout("promote")
        self._quiet("3")

    def _roll_back(self) -> None:
        with self._event("rollback to version 2", "2", "3"):
            self._rollout("rollback")
        self._quiet("2")

    def _half_copied_drop(self) -> None:
        with self._event("a half-copied drop", "2"):
            shutil.copytree(self._folders["half"], self._drop / "half")
            until((self._quarantine / "half.reason.txt").is_file, "the half copy to be refused")

    def _refused(self, name: str, what: str, says: str, status: int = RefusedVersion.exit_status) -> None:
        with self._event(f"publish one that {what}" if name != "swapped" else f"publish one with {what}", "2"):
            self._bundle.run("rollout", "publish", str(self._folders[name]), status=status, says=says)

    def _broken_config(self) -> None:
        config = self._bundle.root / "models.config"
        whole = config.read_text(encoding="utf-8")
        with self._event("a broken models.config", "2"):
            config.write_text(whole.replace("config {", "config {{", 1), encoding="utf-8")
            time.sleep(self._quiet_s)
        with self._event("models.config is repaired", "2"):
            config.write_text(whole, encoding="utf-8")
            time.sleep(self._quiet_s)

    def _restart_with_a_bad_newest(self) -> None:
        """An empty folder that somebody put into the base path by hand is the newest; clients wait meanwhile."""
        bad = self._bundle.base_path / "99"
        with self._event("restart with a bad newest folder (clients wait)", "2"):
            bad.mkdir()
            with self._load.paused():
                self._rollout("restart")
        with self._event("the bad newest folder is taken away", "2"):
            bad.rmdir()
            time.sleep(self._quiet_s)

    def _quiet(self, version: str) -> None:
        with self._event(f"version {version} serves", version):
            until(lambda: len(self._bundle.client.available(MODEL)) == 1, "the last switch to be over")
            time.sleep(self._quiet_s)

    def _rollout(self, command: str, *arguments: object) -> None:
        self._bundle.run("rollout", command, *map(str, arguments))

    @contextlib.contextmanager
    def _event(self, name: str, *may_answer: str) -> Iterator[None]:
        began = self._load.now_s()
        output.step(name)
        yield
        self.events.append(Event(name, began, self._load.now_s(), frozenset(may_answer)))
