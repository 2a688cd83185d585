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

from serving.codec.escape import encode

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


def page(registry: CollectorRegistry) -> bytes:
    """All metrics of the registry, by name, those without a series included."""
    families = sorted(registry.collect(), key=lambda family: family.name)
    return encode("\n".join(line for family in families for line in _lines(family)) + "\n")


def metric_name(path: str) -> str:
    """The Prometheus name of a metric path such as /tensorflow/serving/request_count."""
    name = _NOT_IN_NAMES.sub(":", path)
    return "_" + name if name[:1].isdigit() else name


def _lines(family: Metric) -> list[str]:
    name = metric_name(family.name)
    lines = [f"# TYPE {name} {family.type}"]
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            suffix = "" if family.type == "counter" else sample.name[len(family.name) :]
            lines.append(f"{name}{suffix}{_labels(sample.labels)} {_value(family, sample)}")
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    parts = []
    for name, value in labels.items():
        if name == "le" and value != "+Inf":
            value = _number(float(value))
        value = value.replace("\\", "\\\\").replace('"', '\\"')
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
