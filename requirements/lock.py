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
_GPU = ["--excludes=excludes.in"]
_CPU = [*_GPU, "--override=overrides.in"]
LOCKS = {
    "base": ["serving.in", "base.in", *_CPU],
    # The same versions as in base.txt, so that the images share a layer.
    "serving": ["serving.in", "--constraints=base.txt", "--excludes=excludes-serving.in", *_CPU],
    "dev": ["dev.in", *_CPU],
    "gpu": ["gpu.in", *_GPU],
    "ops": ["ops.in", "--constraints=base.txt", "--excludes=excludes-ops.in"],
}
"""What each lock is made from, in an order in which the later ones find the earlier ones."""


def compile_lock(name: str, output: Path) -> None:
    """Resolve the lock `name` into `output`, keeping the pins that are there; raises CalledProcessError."""
    options = ["--quiet", "--universal", "--python-version=3.10", "--generate-hashes"]
    options += ["--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "compile", *options, *LOCKS[name], "-o", str(output)]
    subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.DEVNULL)


def is_current(name: str) -> bool:
    """Whether resolving again gives the lock that is there."""
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
            for name in LOCKS:
                compile_lock(name, HERE / f"{name}.txt")
            return 0
        stale = [f"requirements/{name}.txt" for name in LOCKS if not is_current(name)]
    except subprocess.CalledProcessError:
        print("error: uv could not resolve the locks (its reason stands above)", file=sys.stderr)  # noqa: T201
        return 1
    if stale:
        print(f"error: out of date: {', '.join(stale)}; run: make fix", file=sys.stderr)  # noqa: T201
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
