"""Become a background process of the bundle: write down who that is, and run its command.

The supervisor starts each process through this, so that every command finds it again, also when the supervisor is gone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

from rollout.processes import Background


def main() -> None:
    """`launch RUN_DIR NAME COMMAND...`: does not return."""
    run_dir, name, *command = sys.argv[1:]
    Background(name, Path(run_dir)).record(psutil.Process())
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
