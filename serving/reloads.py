"""Who may replace the list of models over gRPC, and by what: whoever may predict is not to have any folder loaded."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from serving.config import ModelSettings, model_roots
from serving.errors import Code, ServingError, invalid
from serving.flags import Options

_CHOICES: Final = ("loopback", "true", "false")


class Reloads:
    """What becomes of HandleReloadConfigRequest."""

    def __init__(self, options: Options) -> None:
        self._answered = options.allow_reload_requests
        self._is_local = _is_loopback(options.host)
        self._roots = [_real(root) for root in model_roots(options)]

    def admit(self, peer: str) -> None:
        """Raise ServingError PERMISSION_DENIED for a client that may not ask; `peer` is what gRPC calls it."""
        local = self._is_local or peer.startswith("unix:")
        if self._answered == "true" or (self._answered == "loopback" and local):
            return
        raise _denied(
            f"HandleReloadConfigRequest is not answered here: --allow_reload_requests is {self._answered}. Change the"
            " file that --model_config_file names, or start the server with --allow_reload_requests=true"
        )

    def confine(self, models: Iterable[ModelSettings], configured: Collection[Path]) -> None:
        """Raise ServingError PERMISSION_DENIED for a base path that is not `configured` and lies below no root."""
        for model in models:
            real = _real(model.base_path)
            if model.base_path in configured or any(real.is_relative_to(root) for root in self._roots):
                continue
            below = ", ".join(map(str, self._roots)) or "nothing, as --model_root is empty"
            raise _denied(
                f"Model {model.name}: found the base path {model.base_path}; expected one that the server's own"
                f" configuration lists, or one below --model_root ({below}). Restart the server with it in"
                " --model_config_file, or with --model_root=<a folder above>"
            )


def check(options: Options) -> None:
    """Raise ServingError for flags that cannot be followed."""
    if options.allow_reload_requests not in _CHOICES:
        raise invalid(
            f"--allow_reload_requests={options.allow_reload_requests}: expected {', '.join(_CHOICES[:-1])} or"
            f" {_CHOICES[-1]}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _denied(message: str) -> ServingError:
    return ServingError(Code.PERMISSION_DENIED, message)
