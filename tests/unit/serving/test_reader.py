"""The process that reads the files that flags name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.unit.bundle.parts import PROJECT

ASK = """
import os, signal, socket, sys
from pathlib import Path
from serving import reader
named, other, absent = sys.argv[1:4]
unix = f"{named}.socket"
reader.start([named, "", absent], unix)
listener = socket.socket(socket.AF_UNIX)
listener.bind(unix)
print(reader.read(named), reader.read(Path(named)), reader.read(other))
Path(named + ".new").write_text("edited")
Path(named + ".new").rename(named)
print(reader.read(named))
try:
    reader.read(absent)
except OSError as error:
    print(type(error).__name__, error.strerror, error.filename == absent)
(child,) = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
os.kill(child, signal.SIGTERM)
print(reader.read(named))
if sys.argv[4] == "kill":
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        reader.read(named)
    except OSError as error:
        print(error.strerror)
print(child)
"""


def run(tmp_path: Path, end: str) -> list[str]:
    (tmp_path / "named").write_text("first")
    (tmp_path / "other").write_text("by itself")
    command = [sys.executable, "-c", ASK, *(str(tmp_path / name) for name in ("named", "other", "absent")), end]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_it_reads_what_was_named_as_it_is_now_and_ends_with_the_server(tmp_path: Path) -> None:
    *said, child = run(tmp_path, "go on")
    assert said == [
        "b'first' b'first' b'by itself'",
        "b'edited'",
        "FileNotFoundError No such file or directory True",
        "b'edited'",  # A signal to end is for the server, which may drain for long.
    ]
    assert not Path(f"/proc/{child}/cmdline").exists() or Path(f"/proc/{child}/cmdline").read_bytes() == b""
    assert not (tmp_path / "named.socket").exists()  # The server could not remove it.


def test_when_it_is_gone_that_is_said(tmp_path: Path) -> None:
    assert run(tmp_path, "kill")[-2] == "the process that reads it has ended; restart the server"
