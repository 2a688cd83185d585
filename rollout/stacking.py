"""What the embedded engine does with the requests of each signature, read from its metrics page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bundle.errors import BundleError
from rollout.client import Client

_STATE = "bundle_stacking"


def told(client: Client | None, model: str) -> Mapping[int, Sequence[str]]:
    """Lines about each loaded version of `model`: its stacked signatures, and why others run one by one.

    Empty for a server that does not say: TensorFlow Serving's own stacks only by order.
    """
    try:
        page = client.metrics() if client else None
    except BundleError:
        return {}
    return _lines(page or "", model)


def _lines(page: str, model: str) -> dict[int, list[str]]:
    from prometheus_client.parser import text_string_to_metric_families

    ours = "".join(f"{line}\n" for line in page.splitlines() if line.startswith(_STATE))
    stacked: defaultdict[int, list[str]] = defaultdict(list)
    alone: defaultdict[int, list[str]] = defaultdict(list)
    for family in text_string_to_metric_families(ours):
        for sample in family.samples:
            labels = sample.labels
            if sample.name != _STATE or labels["model"] != model:
                continue
            version = int(labels["version"])
            if labels["grounds"] == "none":
                alone[version].append(f"{labels['signature']} runs one by one: {labels['reason']}")
            else:
                stacked[version].append(f"{labels['signature']} ({labels['grounds']})")
    versions = {*stacked, *alone}
    return {
        number: [*([f"stacks requests for {', '.join(stacked[number])}"] if stacked[number] else []), *alone[number]]
        for number in versions
    }
