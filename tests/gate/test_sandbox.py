"""What a process can no longer do once it is shut in."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.unit.bundle.parts import finish, killed_after, python
from tests.waiting import DEADLINE_S, until

TRY_ALL = """
import os, resource, socket, subprocess, sys
from pathlib import Path
import bundle
from bundle import arguments, libraries
from rollout.gate import sandbox
outside, port = Path(sys.argv[1]), int(sys.argv[2])
allowed = Path.cwd() / "allowed"
arguments.shown_as("a model")
missing = sandbox.enter(os.getppid(), [*libraries.readable("bundle", "rollout"), Path.cwd()])
channel, _ = socket.socketpair()
fifo = outside.parent / "fifo"
def udp():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
def fast_open():
    channel.send(b"x", 0x20000000)
tries = {
    "write": lambda: outside.write_text("gone"),
    "write inside": lambda: allowed.write_text("gone"),
    "truncate": lambda: os.truncate(outside, 0),
    "remove": outside.unlink,
    "rename": lambda: outside.rename("taken"),
    "make": lambda: (outside.parent / "new").mkdir(),
    "make inside": lambda: Path("new").touch(),
    "link": lambda: os.link(outside, "linked"),
    "fifo": lambda: open(fifo, "wb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)),
    "shared memory": lambda: Path("/dev/shm/of-a-model").write_text("x"),
    "mode": lambda: outside.chmod(0o777),
    "time": lambda: os.utime(outside),
    "owner": lambda: os.chown(outside, os.getuid(), os.getgid()),
    "read": outside.read_text,
    "passwd": Path("/etc/passwd").read_text,
    "environ": Path("/proc/self/environ").read_text,
    "environ of the parent": Path(f"/proc/{os.getppid()}/environ").read_text,
    "command line of the parent": Path(f"/proc/{os.getppid()}/cmdline").read_text,
    "list": lambda: os.listdir(outside.parent),
    "list the project": lambda: os.listdir(Path(bundle.__file__).parents[1]),
    "settings": (Path(bundle.__file__).parents[1] / ".env").read_text,
    "TCP": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "UDP": udp,
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "unix": lambda: socket.socket(socket.AF_UNIX).connect(str(outside.parent / "unix")),
    "fast open": fast_open,
    "channel": lambda: open(f"/proc/self/fd/{channel.fileno()}", "wb"),
    "fork": os.fork,
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "run": lambda: subprocess.run(["true"]),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 0),
}
done = []
for name, call in tries.items():
    try:
        call()
        done.append(name)
    except OSError:
        pass
import threading
thread = threading.Thread(target=lambda: done.append(allowed.read_text()))
thread.start()
thread.join()
shown = Path("/proc/self/cmdline").read_text().strip("\\0")
print("missing", missing, "done", done, "shown as", shown, "nice", os.nice(0))
"""


def test_it_can_read_its_own_folder_and_nothing_else_and_reach_nobody(tmp_path: Path) -> None:
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    outside.write_text("kept")
    scratch.mkdir()
    (scratch / "allowed").write_text("own")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        unix.bind(str(tmp_path / "unix"))
        unix.listen()
        datagrams.bind(server.getsockname())
        output = finish(python(TRY_ALL, outside, server.getsockname()[1], cwd=scratch))
        datagrams.setblocking(False)
        with pytest.raises(BlockingIOError):
            datagrams.recv(10)
    if "no Landlock" in output or "seccomp" in output:
        pytest.skip(f"this kernel cannot forbid all of it: {output}")
    assert output.startswith("missing [] done ['own'] shown as a model nice "), output
    assert outside.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "scratch", "unix"]
    assert [path.name for path in scratch.iterdir()] == ["allowed"]


WITHOUT_LANDLOCK = """
import os
from pathlib import Path
from bundle import landlock
from rollout.gate import sandbox
landlock.restrict = lambda allowed: ["writing files (as on a kernel without Landlock)"]
missing = sandbox.enter(os.getppid())
try:
    Path("content").write_text("x")
except OSError as error:
    print(missing, error.strerror)
"""


def test_where_landlock_is_missing_no_file_gets_any_content(tmp_path: Path) -> None:
    output = finish(python(WITHOUT_LANDLOCK, cwd=tmp_path))
    assert output == "['writing files (as on a kernel without Landlock)'] File too large\n"


STARTS_ONE = """
import os, subprocess, sys
child = "import os, time; from rollout.gate import sandbox; sandbox.enter(os.getppid()); "
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
    script = "import os; from rollout.gate import sandbox; sandbox.enter(os.getpid())"
    process = python(script + "; print('went on')", cwd=tmp_path)
    assert finish(process) == ""
    assert process.returncode == 1
