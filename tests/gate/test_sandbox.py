"""What a process can no longer do once it is shut in."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.unit.bundle.parts import DEADLINE_S, finish, killed_after, python, until

TRY_ALL = """
import os, socket, sys
from pathlib import Path
from rollout.gate import sandbox
outside, port = Path(sys.argv[1]), int(sys.argv[2])
missing = sandbox.enter(Path.cwd(), os.getppid())
Path("inside").write_text("allowed")
channel, _ = socket.socketpair()
tries = {
    "write": lambda: outside.write_text("gone"),
    "truncate": lambda: os.truncate(outside, 0),
    "remove": outside.unlink,
    "rename": lambda: outside.rename("taken"),
    "make": lambda: (outside.parent / "new").mkdir(),
    "link": lambda: os.link(outside, "linked"),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "channel": lambda: open(f"/proc/self/fd/{channel.fileno()}", "wb"),
    "signal": lambda: os.kill(os.getppid(), 0),
}
done = []
for name, call in tries.items():
    try:
        call()
        done.append(name)
    except OSError:
        pass
print("missing", missing, "done", done, "nice", os.nice(0))
"""


def test_it_can_write_only_where_it_may_and_reach_nobody(tmp_path: Path) -> None:
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    outside.write_text("kept")
    scratch.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = python(TRY_ALL, outside, server.getsockname()[1], cwd=scratch)
        output = finish(process)
    if "no Landlock" in output:
        pytest.skip("this kernel has no Landlock")
    assert output.startswith("missing [] done [] nice "), output
    assert outside.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "scratch"]
    assert [path.name for path in scratch.iterdir()] == ["inside"]


STARTS_ONE = """
import os, subprocess, sys
child = "import os, pathlib, time; from rollout.gate import sandbox; sandbox.enter(pathlib.Path.cwd(), os.getppid()); "
child += "print(os.getpid(), flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", child])
"""


def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    with killed_after(python(STARTS_ONE, cwd=tmp_path)) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), "the child is gone", DEADLINE_S)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_one_whose_parent_went_away_before_ends_at_once(tmp_path: Path) -> None:
    script = "import os, pathlib; from rollout.gate import sandbox; sandbox.enter(pathlib.Path.cwd(), os.getpid())"
    process = python(script + "; print('went on')", cwd=tmp_path)
    assert finish(process) == ""
    assert process.returncode == 1
