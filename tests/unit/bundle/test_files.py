"""Files that survive a crash, locks that die with their holder."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from bundle import files
from tests.unit.bundle.parts import killed_after, make_version, python
from tests.waiting import until

HOLD = """
import sys, time
from pathlib import Path
from bundle import files
with files.lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_settling_gives_readable_modes_to_everything(tmp_path: Path) -> None:
    version = make_version(tmp_path / "v")
    (version / "saved_model.pb").chmod(0o600)
    (version / "assets").chmod(0o700)
    (version / "variables" / "variables.index").chmod(0o777)
    files.settle(version)
    for path in (version, *version.rglob("*")):
        expected = files.FOLDER_MODE if path.is_dir() else files.FILE_MODE
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_write_replaces_the_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("old")
    files.write_atomically(path, "new \u00e9\n")
    assert path.read_text(encoding="utf-8") == "new \u00e9\n"
    assert stat.S_IMODE(path.stat().st_mode) == files.FILE_MODE
    assert [child.name for child in tmp_path.iterdir()] == ["record"]


def test_a_write_that_fails_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write_atomically(path, "\udc80")
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["record"]


def test_readers_never_see_half_a_write(tmp_path: Path) -> None:
    path = tmp_path / "record"
    contents = {letter * 200_000 for letter in "ab"}
    files.write_atomically(path, "a" * 200_000)
    done = threading.Event()

    def write() -> None:
        for _ in range(20):
            for content in sorted(contents):
                files.write_atomically(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_text() in contents
    writer.join()


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    kept = make_version(tmp_path / "kept")
    link = tmp_path / "link"
    link.symlink_to(kept)
    files.remove(link)
    files.remove(tmp_path / "never was there")
    assert not link.is_symlink()
    assert (kept / "saved_model.pb").is_file()
    files.remove(kept)
    assert not kept.exists()


def test_a_lock_keeps_others_out_until_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    entered = threading.Event()

    def enter() -> None:
        with files.lock(path):
            entered.set()

    with killed_after(python(HOLD, path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiting = threading.Thread(target=enter)
        waiting.start()
        assert not entered.wait(0.3)
        os.kill(holder.pid, signal.SIGKILL)
        until(entered.is_set, "for the lock of a killed process to be free")
        waiting.join()


def test_the_size_is_that_of_all_files(tmp_path: Path) -> None:
    version = make_version(tmp_path / "v", files=3, size=10)
    assert files.size_in_bytes(version) == sum(p.stat().st_size for p in version.rglob("*") if p.is_file())
    assert files.size_in_bytes(tmp_path / "missing") == 0


CHURN = """
import os, sys
print("begun", flush=True)
while True:
    for k in range(20):
        open(f"{sys.argv[1]}/{k}", "w").close()
        os.makedirs(f"{sys.argv[1]}/d{k}/e", exist_ok=True)
    for k in range(20):
        os.rename(f"{sys.argv[1]}/{k}", f"{sys.argv[1]}/d{k}/e/{k}")
        os.unlink(f"{sys.argv[1]}/d{k}/e/{k}")
        os.rmdir(f"{sys.argv[1]}/d{k}/e")
        os.rmdir(f"{sys.argv[1]}/d{k}")
"""


def test_measuring_goes_on_while_files_come_and_go(tmp_path: Path) -> None:
    with killed_after(python(CHURN, tmp_path)) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        assert {files.size_in_bytes(tmp_path) for _ in range(2000)} == {0}
        assert writer.poll() is None


def test_measuring_leaves_out_what_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"123")
    (tmp_path / "link").symlink_to("file")
    assert files.size_in_bytes(tmp_path) == 6
