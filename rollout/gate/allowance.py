"""The operations that somebody lets pass, and who that is."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Allowance:
    """Operations that are not on the list of what is allowed, and pass because `who` said so."""

    operations: tuple[str, ...] = ()
    who: str = ""

    def __str__(self) -> str:
        flags = " ".join(f"--allow-op {name}" for name in self.operations)
        return f"{flags} ({self.who})"


NOTHING = Allowance()
