"""Messages of kernels that reach Python damaged: cut at a NUL byte, or not decodable. They can be mended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]

_BAD_EXAMPLE = "Could not parse example input, value: '"
# No tf.Example, and nothing in it that would cut the message.
_PROBE = b"\x01"


def mend(message: str, feeds: Feeds, failing_run: Callable[[Feeds], str]) -> str:
    """Return `message` as the kernel wrote it, if it quotes an example that was fed and was cut at a NUL.

    `failing_run` runs the same graph on other feeds and returns the message with which that fails: it is
    asked once, with an example that cannot be parsed either, for the name of the node.
    """
    if not message.startswith(_BAD_EXAMPLE) or message.endswith("]]"):
        return message
    start = message[len(_BAD_EXAMPLE) :].encode("utf-8", "surrogateescape")
    for name, value in feeds.items():
        culprit = _find(value, start)
        if culprit is not None:
            probe = np.full((1,) * value.ndim, _PROBE, dtype=object)
            shown = failing_run({**feeds, name: probe})
            _, quoted, node = shown.partition(f"{_BAD_EXAMPLE}{_PROBE.decode()}'")
            return _BAD_EXAMPLE + culprit.decode("utf-8", "surrogateescape") + "'" + (node if quoted else "")
    return message


def _find(value: Array, start: bytes) -> bytes | None:
    if value.dtype != object:
        return None
    nul = start + b"\0"
    return next((item for item in value.reshape(-1) if isinstance(item, bytes) and item.startswith(nul)), None)
