"""The real supervisord over small processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bundle.settings import Settings
from rollout.engines.local import LocalEngine
from tests.unit.bundle.parts import finish, python
from tests.waiting import until

LIVES = [sys.executable, "-c", "import time; time.sleep(600)"]
ENDS = [sys.executable, "-c", "print('no such folder'); raise SystemExit(1)"]


@pytest.fixture
def engine(settings: Settings) -> Iterator[LocalEngine]:
    made = LocalEngine(settings)
    yield made
    made.stop()


# A command starts it and ends, as `make up` does.
START = """
import sys
from pathlib import Path
from bundle import output
from bundle.environment import load
from rollout.engines.local import LocalEngine
from rollout.engines.supervisor import Program
engine = LocalEngine(load(Path(sys.argv[1])))
lives = [sys.executable, "-c", "import time; time.sleep(600)"]
programs = [Program(engine.server, lives, 5), Program(engine.watcher, sys.argv[2:], 5, retries=1)]
sys.exit(output.run_command(lambda: engine.supervisor.start(programs) or 0))
"""


def start(engine: LocalEngine, watch: list[str]) -> str:
    return finish(python(START, engine.settings.root, *watch))


def test_what_ends_again_and_again_is_given_up_and_started_when_that_is_asked_for(engine: LocalEngine) -> None:
    start(engine, ENDS)
    until(lambda: engine.supervisor.state_of(engine.watcher) == "FATAL", "for it to be given up")
    (wrong,) = engine.what_is_wrong()
    assert wrong.startswith("the drop-watcher was given up after 5 tries, nothing is taken from ")
    assert wrong.endswith("the end of its log: no such folder")
    assert engine.watcher.last_lines(9) == ["no such folder"] * 2
    lines = len(engine.watcher.last_lines(9))
    engine.supervisor.start_again(engine.watcher, patience_s=0.0)
    until(lambda: len(engine.watcher.last_lines(9)) > lines, "for another try")


def test_what_is_looked_after_is_started_again_and_ends_with_it(engine: LocalEngine) -> None:
    start(engine, LIVES)
    first = engine.server.find()
    assert first is not None
    first.kill()
    until(lambda: engine.server.find() not in (None, first), "for another one")
    second, watcher = engine.server.find(), engine.watcher.find()
    assert second is not None
    assert watcher is not None
    engine.stop()
    assert not any(each.is_running() and each.status() != "zombie" for each in (second, watcher))
    assert engine.supervisor.process.find() is None
