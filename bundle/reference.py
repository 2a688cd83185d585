"""Texts made from the settings table: `.env` as shipped, and docs/settings.md.

`python -m bundle.reference` writes them; with `--check` it changes nothing and fails when they are out of date.
A user's own values in `.env` are kept: only its names and comments are compared.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from bundle import files, output
from bundle.environment import ENV_FILE, find_root, read_env_file, unknown
from bundle.errors import BundleError, SettingsError
from bundle.settings import Setting, table

_PLAIN = re.compile(r"[\w./:@%+,=~-]*")

_ENV_HEAD = """\
# Every setting of the bundle. The command line (make up REST_PORT=9501) and the environment win over this file.
# It holds no secret and is read by `docker compose` as well. docs/settings.md says the same as a table.
"""

_DOCS_HEAD = """\
# Settings

Every setting has a default, stands in `.env`, and can be given for one command: `make train EPOCHS=3`.
The command line wins over the environment, the environment over `.env`. Unknown names and values that cannot be
right are refused before anything happens. This page is made from `bundle/settings.py` by `make fix`.
"""


def env_text(values: dict[str, str]) -> str:
    """`.env` with a comment above each setting; `values` replace the defaults."""
    parts = [_ENV_HEAD]
    for group, rows in _by_group().items():
        parts.append(f"\n# --- {group} ---\n")
        for row in rows:
            parts.append(textwrap.fill(row.help, 108, initial_indent="# ", subsequent_indent="# ") + "\n")
            parts.append(f"{row.name}={_written(values.get(row.name, row.default))}\n")
    return "".join(parts)


def docs_text() -> str:
    """docs/settings.md."""
    parts = [_DOCS_HEAD]
    for group, rows in _by_group().items():
        parts.append(f"\n## {group}\n\n| setting | default | what it does |\n|---|---|---|\n")
        parts.extend(f"| `{row.name}` | `{row.default}` | {row.help.replace('|', chr(92) + '|')} |\n" for row in rows)
    return "".join(parts)


def _written(value: str) -> str:
    """`value` as an env file reads it back: quoted where a blank, a # or a $ would mean something."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _by_group() -> dict[str, list[Setting]]:
    groups: dict[str, list[Setting]] = {}
    for row in table():
        groups.setdefault(row.group, []).append(row)
    return groups


def _pages(root: Path) -> dict[Path, str]:
    env = root / ENV_FILE
    values = read_env_file(env)
    problems = unknown(values, f"in {env}")
    if problems:  # Writing the file anew would drop them without a word.
        raise SettingsError("\n  ".join(problems))
    return {env: env_text(values), root / "docs" / "settings.md": docs_text()}


def main() -> int:
    """Write the texts, or with --check compare them."""
    pages = _pages(find_root())
    stale = {path: text for path, text in pages.items() if not path.is_file() or path.read_text() != text}
    if "--check" in sys.argv[1:]:
        if stale:
            raise BundleError(f"out of date: {', '.join(map(str, stale))}; run: make fix")
        return 0
    for path, text in stale.items():
        files.write_atomically(path, text)
        output.step(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(output.run_command(main))
