"""Folders, processes and file systems that the tests here share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import publish, reference
from tests.waiting import DEADLINE_S

PROJECT = Path(__file__).parents[3]
MODEL = "ResnetModel"


def make_root(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text(reference.env_text({}), encoding="utf-8")
    shutil.copyfile(PROJECT / "models.config", folder / "models.config")
    return folder


def make_version(folder: Path, content: bytes = b"graph", files: int = 2, size: int = 100) -> Path:
    """The files of a SavedModel with something in them; nothing here loads it."""
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables" / "variables.index").write_bytes(b"index of " + content)
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(content * max(1, size // len(content)))
    for number in range(files):
        path = folder / "assets" / "deep" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number % 256]) * size)
    return folder


def publish_copy(
    source: Path, base: Path, quarantine: Path, numbered: publish.Numbered | None = None
) -> publish.Version:
    """Stage a copy and give it the next number: a release without what is around it."""
    with publish.staged(source, base, quarantine) as copy:
        return publish.go_live(copy, base, quarantine, numbered)


def digest(folder: Path) -> str:
    """Equal for folders with the same files and contents."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(path.read_bytes() if path.is_file() else b"folder")
    return total.hexdigest()


def python(script: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """A fresh Python that runs `script` with this project importable."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return start(command, **options)


def start(command: list[str], **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment, **options}
    return subprocess.Popen(command, **settings)  # type: ignore[call-overload, no-any-return]


def finish(process: subprocess.Popen[str], timeout_s: float = DEADLINE_S) -> str:
    """Its output once it has ended; it is killed when it takes too long."""
    try:
        return process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


@contextlib.contextmanager
def killed_after(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Leave no process behind, whatever the test does."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def on_file_system(folder: Path, options: str, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a Python script that sees a tmpfs of its own, mounted with `options`, at `folder`.

    Also root meets a full disk and a read-only folder there. Skips where the kernel does not let us mount.
    """
    if not shutil.which("unshare"):
        pytest.skip("needs unshare(1) to mount a small file system")
    own = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    mount = 'mount -t tmpfs -o "$0" none "$1"'
    if subprocess.run([*own, "sh", "-c", mount, options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a file system of our own")
    inside = [*own, "sh", "-c", mount + ' && shift && exec "$@"', options, str(folder)]
    command = [*inside, sys.executable, "-c", script, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=5 * DEADLINE_S, check=False)
