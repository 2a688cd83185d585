"""The metrics page: the registry in the real server's dialect of the Prometheus text format.

It differs from the client library's in that counters have no `_total`, nothing has a help text, and
unlabelled series have empty braces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def page(registry: CollectorRegistry) -> bytes:
    """All metrics of the registry, by path, those without a series included.

    A family's documentation is the path of the metric.
    """
    families = sorted(registry.collect(), key=lambda family: family.documentation)
    text = "\n".join(line for family in families for line in _lines(family)) + "\n"
    return text.encode("utf-8", "replace")


def metric_name(path: str) -> str:
    """The Prometheus name of a metric path such as /tensorflow/serving/request_count."""
    name = _NOT_IN_NAMES.sub(":", path)
    return "_" + name if name[:1].isdigit() else name


def _lines(family: Metric) -> list[str]:
    name = metric_name(family.documentation)
    lines = [f"# TYPE {name} {family.type}"]
    counts: list[str] = []
    for sample in family.samples:
        suffix = "" if family.type == "counter" else sample.name[len(family.name) :]
        line = f"{name}{suffix}{_labels(sample.labels)} {_value(family, sample)}"
        if sample.name.endswith("_created"):
            continue
        if suffix == "_count":
            counts.append(line)  # which the real server writes after the sum
        else:
            lines.append(line)
        if suffix == "_sum":
            lines += counts
            counts.clear()
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    parts = []
    for name, value in labels.items():
        if name == "le" and value != "+Inf":
            value = _number(float(value))
        # The real server leaves newlines as they are, with which any client can break the page.
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts.append(f'{_NOT_IN_NAMES.sub("_", name)}="{value}"')
    return "{" + ",".join(parts) + "}"


def _value(family: Metric, sample: Sample) -> str:
    if family.type == "counter" or sample.name.endswith(("_bucket", "_count")):
        return str(int(sample.value))
    return _number(sample.value)


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return "%g" % value  # noqa: UP031 - C's %g is what is being reproduced
