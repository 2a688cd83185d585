"""Write the locks from the short *.in files, or with --check say whether they are up to date.

uv resolves for Python 3.10 to 3.12 on every platform at once and keeps the pins that still fit, so a lock changes
only when its inputs do.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
OVERRIDES = {"base": ["overrides.in"], "dev": ["overrides.in"], "gpu": []}


def compile_lock(name: str, output: Path) -> None:
    """Resolve `name`.in into `output`, keeping the pins that are there; raises CalledProcessError when it cannot."""
    options = ["--quiet", "--universal", "--python-version=3.10", "--generate-hashes"]
    options += ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--excludes=excludes.in"]
    options += [f"--override={file}" for file in OVERRIDES[name]]
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", *options, f"{name}.in", "-o", str(output)]
    subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.DEVNULL)


def is_current(name: str) -> bool:
    """Whether resolving `name`.in again gives the lock that is there."""
    lock = HERE / f"{name}.txt"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder, lock.name)
        shutil.copyfile(lock, scratch)
        compile_lock(name, scratch)
        return scratch.read_bytes() == lock.read_bytes()


def main() -> int:
    """Exit status 0 when the locks are written, or current with --check; 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a lock is out of date")
    check = parser.parse_args().check
    try:
        if not check:
            for name in OVERRIDES:
                compile_lock(name, HERE / f"{name}.txt")
            return 0
        stale = [f"requirements/{name}.txt" for name in OVERRIDES if not is_current(name)]
    except subprocess.CalledProcessError:
        print("error: uv could not resolve the locks (its reason stands above)", file=sys.stderr)  # noqa: T201
        return 1
    if stale:
        print(f"error: out of date: {', '.join(stale)}; run: make fix", file=sys.stderr)  # noqa: T201
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
