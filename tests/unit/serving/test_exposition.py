"""The metrics page: names, labels and buckets as the real server writes them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving import exposition, metrics


def page(registry: CollectorRegistry) -> list[str]:
    return exposition.page(registry).decode().splitlines()


def test_counters_have_no_suffix() -> None:
    registry = CollectorRegistry()
    counter = Counter(":test:path:total", "/test/path/total", ["name"], registry=registry)
    counter.labels('"abc\\"').inc(2)
    assert page(registry) == [
        "# TYPE :test:path:total counter",
        ':test:path:total{name="\\"abc\\\\\\""} 2',
    ]


def test_a_series_without_labels_has_braces() -> None:
    registry = CollectorRegistry()
    Gauge(":g", "/g", registry=registry).set(0.5)
    assert page(registry) == ["# TYPE :g gauge", ":g{} 0.5"]


def test_metrics_without_series_are_listed() -> None:
    registry = CollectorRegistry()
    Histogram(":h", "/h", ["x"], registry=registry)
    assert page(registry) == ["# TYPE :h histogram"]


def test_a_value_at_a_bound_counts_above_it() -> None:
    family = metrics._family("/test/bound", ("status",), metrics.exponential(1, 2, 3))
    for value in (2, 3, 200):
        family.observe(value, "good")
    lines = [line for line in page(metrics.REGISTRY) if line.startswith(":test:bound")]
    assert lines == [
        ':test:bound_bucket{status="good",le="1"} 0',
        ':test:bound_bucket{status="good",le="2"} 0',
        ':test:bound_bucket{status="good",le="4"} 2',
        ':test:bound_bucket{status="good",le="+Inf"} 3',
        ':test:bound_sum{status="good"} 205',
        ':test:bound_count{status="good"} 3',
    ]


def test_labels_cannot_break_the_page() -> None:
    registry = CollectorRegistry()
    Counter(":c", "/c", ["m"], registry=registry).labels("a\nb\udcff").inc()
    assert page(registry)[1] == ':c{m="a\\nb?"} 1'


def test_values_of_counters_by_path_are_those_of_the_first_label() -> None:
    family = metrics._family("/test/values", ("model",))
    family.add(4, "b")
    family.add(3, "a")
    assert metrics.values(["/test/values", "/nope"]) == {"/test/values": 3, "/nope": 0}
