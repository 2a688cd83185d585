"""A group of operations that do the same kind of thing."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Group:
    """Operations by name, separated by white space, and what they do."""

    kind: str
    what: str
    listed: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names in `listed`."""
        return tuple(self.listed.split())
