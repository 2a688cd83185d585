"""The table of flags in docs/engine.md follows the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving import docs
from serving.flags import FLAGS


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving.docs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_is_up_to_date() -> None:
    done = run("--check")
    assert done.returncode == 0, done.stderr


def test_every_flag_has_its_row() -> None:
    table = docs.table()
    assert all(f"| `--{flag.name}` | " in table for flag in FLAGS)


def test_drift_is_found_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n")
    assert run("--check", str(page)).returncode == 1
    assert "old" in page.read_text()
    assert run(str(page)).returncode == 0
    assert run("--check", str(page)).returncode == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "`--port`" in text


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    done = run(str(page))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "found no markers" in done.stderr
