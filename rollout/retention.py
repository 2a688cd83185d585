"""How many versions stay: those beyond KEEP_VERSIONS are removed, never the live one."""

from __future__ import annotations

from bundle import publish
from rollout import ledger
from rollout.client import Unreachable
from rollout.model import Model


def retire_old(model: Model) -> list[int]:
    """Remove the oldest versions beyond KEEP_VERSIONS that no server has loaded; returns their numbers.

    None is removed when the server does not say what it has loaded.
    """
    folders = list(model.folders())
    try:
        loaded = model.loaded()
    except Unreachable:
        return []
    in_use = {*loaded, *folders[-model.settings.keep_versions :]}
    retired = [number for number in folders if number not in in_use]
    for number in retired:
        publish.retire(model.base_path, number)
        model.ledger.append(ledger.RETIRED, number, reason=f"KEEP_VERSIONS={model.settings.keep_versions}")
    return retired
