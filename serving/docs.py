"""The tables in docs/ that are made from the code: the flags, and the operations whose rows are apart.

`python -m serving.docs` rewrites them; with `--check` it changes nothing and fails when one is out of date. The path
of another page with a table of flags may be given.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bundle import files, output
from bundle.errors import BundleError
from serving.batching.rows.table import KINDS
from serving.flags import FLAGS, Flag

BEGIN: Final = "<!-- table: begin, made by `python -m serving.docs` -->"
END: Final = "<!-- table: end -->"

_DOCS: Final = Path(__file__).resolve().parent.parent / "docs"


def table() -> str:
    """The flags as a Markdown table, after a line that counts them."""
    counts = Counter(flag.support for flag in FLAGS)
    total = ", ".join(f"{count} {support}" for support, count in counts.most_common())
    rows = [f"{len(FLAGS)} flags: {total}.", "", "| flag | default | | what it does |", "|---|---|---|---|"]
    rows.extend(_row(flag) for flag in FLAGS)
    return "\n".join(rows) + "\n"


def operations() -> str:
    """The kinds of operations whose rows are known to be apart, as a Markdown table."""
    kinds: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for kind in KINDS:
        kinds[kind.name, kind.says] += kind.operations
    count = sum(map(len, kinds.values()))
    rows = [f"{len(kinds)} kinds, {count} operations.", "", "| kind | rows stay apart | operations |", "|---|---|---|"]
    for (name, says), names in kinds.items():
        rows.append(f"| {name} | {says} | {', '.join(f'`{each}`' for each in sorted(names))} |")
    return "\n".join(rows) + "\n"


def updated(page: str, make: Callable[[], str] = table) -> str:
    """The page with the table between the markers replaced; raises BundleError when they are not there."""
    before, begin, rest = page.partition(BEGIN + "\n")
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BundleError(f"found no markers for the table; expected a line {BEGIN!r} and a line {END!r}")
    return f"{before}{BEGIN}\n{make()}{END}{after}"


def main() -> int:
    """Write the tables, or with --check compare them."""
    paths = [Path(argument) for argument in sys.argv[1:] if argument != "--check"]
    pages = {path: table for path in paths} or {_DOCS / "engine.md": table, _DOCS / "stacking.md": operations}
    for path, make in pages.items():
        _bring_up_to_date(path, make, "--check" in sys.argv[1:])
    return 0


def _bring_up_to_date(path: Path, make: Callable[[], str], check: bool) -> None:
    page = path.read_text(encoding="utf-8")
    new = updated(page, make)
    if new == page:
        return
    if check:
        raise BundleError(f"the table in {path} is out of date; run: python -m serving.docs")
    files.write_atomically(path, new)
    output.step(f"wrote {path}")


def _row(flag: Flag) -> str:
    default = f"`{flag.shown_default}`" if flag.shown_default else "empty"
    return f"| `--{flag.name}` | {default} | {flag.support} | {flag.help.replace('|', chr(92) + '|')} |"


if __name__ == "__main__":
    sys.exit(output.run_command(main))
