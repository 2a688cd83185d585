"""A version appears whole, under a number never used before, or not at all."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle import publish
from bundle.errors import BundleError, RefusedVersion, UncheckedVersion, UsageError
from bundle.publish import LOCK_NAME, STAGING_PREFIX
from bundle.versions import HIGH_WATER, version_folders
from tests.unit.bundle.parts import digest, finish, make_version, on_file_system, publish_copy, python, start

PUBLISH_MANY = """
import sys
from pathlib import Path
from tests.unit.bundle.parts import publish_copy
source, base, quarantine, times = sys.argv[1:]
for _ in range(int(times)):
    print(publish_copy(Path(source), Path(base), Path(quarantine)).number)
"""
PUBLISH = """
import sys
from pathlib import Path
from bundle import output
from tests.unit.bundle.parts import publish_copy
def command():
    source, base, quarantine = map(Path, sys.argv[1:4])
    print("published", publish_copy(source, base, quarantine).number)
    return 0
status = output.run_command(command)
print("left:", sorted(path.name for path in Path(sys.argv[2]).iterdir()))
sys.exit(status)
"""
NOBODY = 65534
AS_NOBODY = f"""
import os
from bundle import output
from tests.unit.bundle.parts import publish_copy
if os.getuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_version(tmp_path / "source")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "models" / "M"


@pytest.fixture
def quarantine(tmp_path: Path) -> Path:
    return tmp_path / "quarantine" / "M"


def test_the_first_version_is_1_and_equals_its_source(source: Path, base: Path, quarantine: Path) -> None:
    version = publish_copy(source, base, quarantine)
    assert version == publish.Version(1, base / "1")
    assert digest(version.path) == digest(source)
    assert publish_copy(source, base, quarantine).number == 2


def test_what_is_no_saved_model_is_refused(tmp_path: Path, base: Path, quarantine: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no saved_model\.pb"):
        publish_copy(tmp_path, base, quarantine)
    assert not base.exists()


def test_a_number_is_not_used_again_after_deletion(source: Path, base: Path, quarantine: Path) -> None:
    for _ in range(3):
        publish_copy(source, base, quarantine)
    shutil.rmtree(base / "3")
    shutil.rmtree(base / "2")
    assert publish_copy(source, base, quarantine).number == 4


def test_a_number_is_not_used_again_after_withdrawal(source: Path, base: Path, quarantine: Path) -> None:
    publish_copy(source, base, quarantine)
    publish.withdraw(base, 1, quarantine, "no good")
    (base / HIGH_WATER).unlink()  # A base path restored from a backup: the quarantine alone remembers.
    assert publish_copy(source, base, quarantine).number == 2


def test_numbers_go_on_above_what_somebody_else_put_there(source: Path, base: Path, quarantine: Path) -> None:
    make_version(base / "0041")
    (base / "42").touch()
    assert publish_copy(source, base, quarantine).number == 43


def test_past_the_last_number_there_is_an_error_and_no_version(source: Path, base: Path, quarantine: Path) -> None:
    make_version(base / str(2**63 - 1))
    with pytest.raises(BundleError, match="9223372036854775807"):
        publish_copy(source, base, quarantine)
    assert list(version_folders(base)) == [2**63 - 1]
    assert not list(base.glob(f"{STAGING_PREFIX}*"))


def test_everybody_can_read_a_version_whatever_the_source_and_the_umask(
    source: Path, base: Path, quarantine: Path
) -> None:
    (source / "saved_model.pb").chmod(0o600)
    (source / "variables").chmod(0o700)
    before = os.umask(0o077)
    try:
        version = publish_copy(source, base, quarantine).path
    finally:
        os.umask(before)
    for path in (version, *version.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_links_that_stay_inside_are_followed_so_that_a_version_has_none(
    source: Path, base: Path, quarantine: Path
) -> None:
    shutil.move(source / "saved_model.pb", source / "assets" / "graph.pb")
    (source / "saved_model.pb").symlink_to("assets/graph.pb")
    (source / "assets" / "twice").symlink_to("deep")
    (source / "assets" / "far").symlink_to(source.resolve() / "variables")
    expected = (source / "assets" / "graph.pb").read_bytes()
    version = publish_copy(source, base, quarantine).path
    assert not any(path.is_symlink() for path in version.rglob("*"))
    assert (version / "saved_model.pb").read_bytes() == expected
    assert digest(version / "assets" / "twice") == digest(source / "assets" / "deep")
    assert digest(version / "assets" / "far") == digest(source / "variables")


def _out(source: Path, at: Path) -> None:
    (source.parent / "private.txt").write_text("kept from clients")
    at.symlink_to("../../private.txt")


def _device(source: Path, at: Path) -> None:
    at.symlink_to("/dev/zero")


def _each_other(source: Path, at: Path) -> None:
    (source / "assets" / "deep" / "back").symlink_to("..")


def _set_id(source: Path, at: Path) -> None:
    at.touch()
    at.chmod(0o4755)


TRAPS: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "dangling link": (lambda source, at: at.symlink_to("nowhere"), "assets/trap is a link that leads nowhere"),
    "link to itself": (lambda source, at: at.symlink_to("trap"), "assets/trap is a link that leads nowhere"),
    "pipe": (lambda source, at: os.mkfifo(at), "assets/trap is a pipe"),
    "link to a file elsewhere": (_out, "assets/trap is a link that leads out of the folder"),
    "link to a device": (_device, "assets/trap is a link that leads out of the folder"),
    "link to its own folder": (lambda source, at: at.symlink_to("."), "is a link that leads back"),
    "link to the top": (lambda source, at: at.symlink_to(".."), "is a link that leads back"),
    "links to each other": (_each_other, "is a link that leads back"),
    "set-id bit": (_set_id, "assets/trap has a set-id bit"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_what_must_not_be_in_a_version_is_named_and_nothing_is_published(
    name: str, source: Path, base: Path, quarantine: Path
) -> None:
    make, said = TRAPS[name]
    make(source, source / "assets" / "trap")
    with pytest.raises(RefusedVersion, match=rf"{said}.*Nothing was published"):
        publish_copy(source, base, quarantine)
    assert sorted(path.name for path in base.iterdir()) == [LOCK_NAME]


def test_a_sparse_file_counts_by_its_length(source: Path, base: Path, quarantine: Path) -> None:
    with (source / "assets" / "hole").open("wb") as file:
        file.truncate(8 << 40)
    with pytest.raises(UncheckedVersion, match=r"no room for the copy: with assets/hole it has .* MB or more"):
        publish_copy(source, base, quarantine)
    assert sorted(path.name for path in base.iterdir()) == [LOCK_NAME]


def test_a_copy_can_be_ended_between_two_blocks(source: Path, base: Path, quarantine: Path) -> None:
    class Enough(Exception):
        pass

    def look_up() -> None:
        raise Enough

    with pytest.raises(Enough), publish.staged(source, base, quarantine, look_up):
        pass
    assert sorted(path.name for path in base.iterdir()) == [LOCK_NAME]


def test_leftovers_of_killed_publishers_are_swept(source: Path, base: Path, quarantine: Path) -> None:
    make_version(base / f"{STAGING_PREFIX}abc")
    (base / f"{STAGING_PREFIX}file").touch()
    (base / "notes.txt").touch()
    publish_copy(source, base, quarantine)
    assert sorted(path.name for path in base.iterdir()) == sorted([HIGH_WATER, LOCK_NAME, "1", "notes.txt"])


def test_everything_is_on_disk_before_it_has_its_name(
    source: Path, base: Path, quarantine: Path, tmp_path: Path
) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace(1) to see the calls in their order")
    trace = tmp_path / "trace"
    calls = "trace=fsync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", PUBLISH]
    process = start([*command, str(source), str(base), str(quarantine)])
    output = finish(process)
    if "ptrace" in output:
        pytest.skip(f"strace may not trace here: {output.strip()}")
    assert "published 1" in output
    lines = trace.read_text().splitlines()
    live = next(n for n, line in enumerate(lines) if "rename" in line and f'"{base}/1"' in line)
    staged = next(part for part in lines[live].split('"') if STAGING_PREFIX in part)
    synced = {line.split("<")[1].split(">")[0] for line in lines[:live] if "fsync(" in line}
    relative = [path.relative_to(source).as_posix() for path in source.rglob("*")]
    assert synced >= {staged, *(f"{staged}/{name}" for name in relative)}
    assert any("fsync(" in line and f"<{base}>" in line for line in lines[live + 1 :])


def test_the_number_is_told_before_the_version_is_there_and_is_used_up(
    source: Path, base: Path, quarantine: Path
) -> None:
    class Killed(Exception):
        pass

    def told(number: int) -> None:
        assert number == 1
        assert not (base / "1").exists()
        raise Killed

    with pytest.raises(Killed):
        publish_copy(source, base, quarantine, told)
    # Whoever was told that 1 is his must find his version there or none, never that of the next publisher.
    assert publish_copy(source, base, quarantine).number == 2


def test_publishers_in_several_processes_take_turns(source: Path, base: Path, quarantine: Path) -> None:
    publishers = [python(PUBLISH_MANY, source, base, quarantine, 6) for _ in range(4)]
    numbers = [int(line) for publisher in publishers for line in finish(publisher).split()]
    assert sorted(numbers) == list(range(1, 25))
    assert {digest(folder) for folder in version_folders(base).values()} == {digest(source)}
    assert not list(base.glob(f"{STAGING_PREFIX}*"))


def test_a_full_disk_is_explained_and_leaves_nothing(source: Path, base: Path, quarantine: Path) -> None:
    (source / "variables" / "variables.data-00000-of-00001").write_bytes(b"x" * 2_000_000)
    base.mkdir(parents=True)
    answer = on_file_system(base, "size=1m", PUBLISH, source, base, quarantine)
    assert answer.returncode == 4
    assert "no room for the copy" in answer.stderr
    assert "free some space" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert f"left: {[LOCK_NAME]}" in answer.stdout


def test_a_read_only_file_system_is_explained(source: Path, base: Path, quarantine: Path) -> None:
    base.mkdir(parents=True)
    answer = on_file_system(base, "size=1m,ro", PUBLISH, source, base, quarantine)
    assert answer.returncode == 1
    assert f"{base} is not writable" in answer.stderr
    assert "chown" not in answer.stderr  # Another owner would not help.


def test_a_folder_of_somebody_else_is_explained(source: Path, base: Path, quarantine: Path, tmp_path: Path) -> None:
    base.mkdir(parents=True)
    base.chmod(0o555)
    me = os.getuid()
    if me == 0:
        for path in (tmp_path, *list(tmp_path.parents)[:-2]):
            path.chmod(path.stat().st_mode | 0o011)  # So that nobody gets as far as the base path.
    process = python(AS_NOBODY + PUBLISH, source, base, quarantine)
    output = finish(process)
    assert process.returncode == 1
    assert f"{base} is not writable for uid {me or NOBODY}; it belongs to uid {me}" in output
    assert (f"sudo chown -R {NOBODY} {base}" if me == 0 else f"chmod u+rwx {base}") in output


def test_a_base_path_that_cannot_be_made_is_explained(source: Path, tmp_path: Path, quarantine: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match=r"cannot make the base path .*Not a directory"):
        publish_copy(source, tmp_path / "file" / "M", quarantine)


def test_a_lock_that_cannot_be_taken_is_explained(source: Path, base: Path, quarantine: Path) -> None:
    (base / LOCK_NAME).mkdir(parents=True)
    with pytest.raises(BundleError, match=rf"cannot publish .* into {base}: .*{LOCK_NAME}: Is a directory"):
        publish_copy(source, base, quarantine)
