"""What the commands print: a line per step with the time since the command began; problems go to stderr.

Nothing that is printed steers the terminal: what is not printable is escaped here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bundle.errors import BundleError
from bundle.text import printable_lines

_began = time.monotonic()

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells report it."""


def is_terminal() -> bool:
    """Whether standard output is a terminal, so that bars and redrawn lines make sense."""
    return sys.stdout.isatty()


def step(text: str) -> None:
    """Print one step of the command at hand with the seconds since the command began."""
    print(f"--> {printable_lines(text)}  ({time.monotonic() - _began:.1f} s)", flush=True)


def line(text: str = "") -> None:
    """Print a plain line of the answer."""
    print(printable_lines(text), flush=True)


def warn(text: str) -> None:
    """Print a warning on stderr: the command goes on."""
    print(f"warning: {printable_lines(text)}", file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """Print on stderr why the command ends here."""
    print(f"error: {printable_lines(text)}", file=sys.stderr, flush=True)


def run_command(command: Callable[[], int]) -> int:
    """Exit status of `command`, with errors meant for the user printed as one message, no traceback."""
    try:
        return command()
    except BundleError as error:
        fail(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        fail("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`); there is nobody left to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
        return 1
