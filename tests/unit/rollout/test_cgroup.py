"""Where control groups are looked for, on systems of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.gate import cgroup

NEW = {
    "/proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.scope",
    "/proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
}
MIXED = {
    "/proc/self/cgroup": "4:memory:/jobs/one\n3:cpu:/\n0::/",
    "/proc/self/mountinfo": (
        "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "34 30 0:30 / /tmp rw - tmpfs tmpfs rw"
    ),
}
CONTAINED = {
    "/proc/self/cgroup": "0::/",
    "/proc/self/mountinfo": "29 23 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw",
}


@pytest.mark.parametrize(
    ("system", "places"),
    [
        (
            NEW,
            [
                [
                    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.scope",
                    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice",
                    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service",
                    "/sys/fs/cgroup/user.slice/user-1000.slice",
                    "/sys/fs/cgroup/user.slice",
                    "/sys/fs/cgroup",
                ]
            ],
        ),
        (
            MIXED,
            [
                ["/sys/fs/cgroup/memory/jobs/one", "/sys/fs/cgroup/memory/jobs", "/sys/fs/cgroup/memory"],
                ["/sys/fs/cgroup/unified"],
            ],
        ),
        (CONTAINED, [["/sys/fs/cgroup"]]),
        ({}, []),
    ],
)
def test_they_are_looked_for_from_our_own_upwards(
    monkeypatch: pytest.MonkeyPatch, system: dict[str, str], places: list[list[str]]
) -> None:
    monkeypatch.setattr(cgroup, "_lines", lambda path: system.get(str(path), "").splitlines())
    assert [[str(place) for place in each] for each in cgroup._places()] == places


class Kernel:
    """Folders in which a new one gets files as the kernel gives them; those named in `full` hold memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, places: list[Path], full: list[Path]) -> None:
        self.made: list[Path] = []
        made, mkdir, rmdir = self.made, Path.mkdir, Path.rmdir

        def make(folder: Path) -> None:
            mkdir(folder)
            made.append(folder)
            names = ["cgroup.procs", "cgroup.kill"]
            names += ["memory.max", "memory.swap.max", "memory.events"] if folder.parent in full else []
            for name in names:
                (folder / name).write_text("")

        def remove(folder: Path) -> None:
            for path in folder.iterdir():
                path.unlink()
            rmdir(folder)

        monkeypatch.setattr(cgroup, "_places", lambda: iter([places]))
        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Path, "rmdir", remove)


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """A group in a group in a group, the innermost first."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    return [tmp_path / "a" / "b", tmp_path / "a", tmp_path]


def test_the_nearest_place_that_can_hold_memory_is_taken(monkeypatch: pytest.MonkeyPatch, places: list[Path]) -> None:
    kernel = Kernel(monkeypatch, places, places[1:])
    groups = cgroup.Groups(5000)
    groups.take(42)
    assert groups.limits_memory
    (left,) = [folder for folder in kernel.made if folder.exists()]
    assert left.parent == places[1]
    assert (left / "memory.max").read_text() == "5000"
    assert (left / "memory.swap.max").read_text() == "0"
    assert (left / "cgroup.procs").read_text() == "42"
    assert not groups.ran_out_of_memory()
    (left / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 1\n")
    assert groups.ran_out_of_memory()
    groups.kill()
    assert (left / "cgroup.kill").read_text() == "1"
    groups.remove()
    assert not left.exists()


def test_without_one_the_nearest_is_taken_to_kill_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch, places: list[Path]
) -> None:
    kernel = Kernel(monkeypatch, places, [])
    groups = cgroup.Groups(5000)
    groups.take(42)
    assert not groups.limits_memory
    assert [folder.parent for folder in kernel.made if folder.exists()] == [places[0]]
    groups.remove()
    assert not [folder for folder in kernel.made if folder.exists()]


def test_a_group_that_takes_no_process_is_given_up(monkeypatch: pytest.MonkeyPatch, places: list[Path]) -> None:
    kernel = Kernel(monkeypatch, places, places)
    groups = cgroup.Groups(5000)
    (kernel.made[0] / "cgroup.procs").unlink()
    (kernel.made[0] / "cgroup.procs").symlink_to("/nowhere/at/all")
    groups.take(42)
    assert not groups.limits_memory
    assert not [folder for folder in kernel.made if folder.exists()]
