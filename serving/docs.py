"""The table of flags in docs/engine.md, made from the flags themselves.

`python -m serving.docs` rewrites it; with `--check` it changes nothing and fails when it is out of date. A path
may be given, otherwise it is docs/engine.md of the checkout.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

from bundle import files, output
from bundle.errors import BundleError
from serving.flags import FLAGS, Flag

BEGIN: Final = "<!-- flags: begin, made by `python -m serving.docs` -->"
END: Final = "<!-- flags: end -->"

_PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "engine.md"


def table() -> str:
    """The flags as a Markdown table, after a line that counts them."""
    counts = Counter(flag.support for flag in FLAGS)
    total = ", ".join(f"{count} {support}" for support, count in counts.most_common())
    rows = [f"{len(FLAGS)} flags: {total}.", "", "| flag | default | | what it does |", "|---|---|---|---|"]
    rows.extend(_row(flag) for flag in FLAGS)
    return "\n".join(rows) + "\n"


def updated(page: str) -> str:
    """The page with the table between the markers replaced; raises BundleError when they are not there."""
    before, begin, rest = page.partition(BEGIN + "\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BundleError(f"found no markers for the table of flags; expected a line {BEGIN!r} and a line {END!r}")
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def main() -> int:
    """Write the table, or with --check compare it."""
    arguments = sys.argv[1:]
    check = "--check" in arguments
    path = Path(next((argument for argument in arguments if argument != "--check"), _PAGE))
    page = path.read_text(encoding="utf-8")
    new = updated(page)
    if new == page:
        return 0
    if check:
        raise BundleError(f"the table of flags in {path} is out of date; run: python -m serving.docs")
    files.write_atomically(path, new)
    output.step(f"wrote {path}")
    return 0


def _row(flag: Flag) -> str:
    default = f"`{flag.shown_default}`" if flag.shown_default else "empty"
    return f"| `--{flag.name}` | {default} | {flag.support} | {flag.help.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.exit(output.run_command(main))
