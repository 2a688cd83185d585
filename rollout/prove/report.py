"""What came of the day: a row for each event, a picture over time, and whether it proves what it is to prove."""

from __future__ import annotations

import collections
import dataclasses
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

from bundle import files
from rollout.prove.day import Event
from rollout.prove.load import Answer

_SLOW = 3
_LABELLED = "REST canary"


@dataclasses.dataclass(frozen=True)
class Row:
    """The requests sent during one event."""

    event: Event
    sent: int
    failed: int
    slow: int
    wrong: int
    by_version: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Result:
    """The whole day. `median_s` is over all answers; a slow one took three times as long."""

    rows: list[Row]
    answers: list[Answer]
    median_s: float

    @property
    def sent(self) -> int:
        """All requests."""
        return len(self.answers)

    @property
    def failed(self) -> int:
        """Requests without an answer of a known version."""
        return sum(answer.failed for answer in self.answers)

    @property
    def wrong(self) -> int:
        """Requests answered by a version that was not to answer at that time."""
        return sum(row.wrong for row in self.rows)

    def by(self, version: str) -> int:
        """Requests answered by `version`."""
        return sum(answer.version == version for answer in self.answers)


def result(events: Sequence[Event], answers: Sequence[Answer]) -> Result:
    """Sort the answers into the events that they were sent in."""
    median_s = statistics.median(answer.took_s for answer in answers)
    rows = []
    for event in events:
        during = [answer for answer in answers if event.began_s <= answer.at_s < event.ended_s]
        counts = collections.Counter(answer.version for answer in during)
        wrong = sum(
            not answer.failed and answer.version not in (event.may_answer if answer.kind != _LABELLED else {"3"})
            for answer in during
        )
        rows.append(
            Row(
                event,
                len(during),
                sum(answer.failed for answer in during),
                sum(answer.took_s > _SLOW * median_s for answer in during),
                wrong,
                dict(sorted(counts.items())),
            )
        )
    return Result(rows, list(answers), median_s)


def page(found: Result, engine: str, picture: str) -> str:
    """The report as Markdown."""
    total = found.rows[-1].event.ended_s
    lines = [
        "# The proof",
        "",
        f"`make prove ENGINE={engine}` did everything below to a bundle of its own while clients sent requests all the "
        "time: REST and gRPC, `serving_bytes` and `serving_default`. The three versions come from three trainings; "
        "each answer was compared with what each SavedModel answers when it is loaded without a server, so every "
        "answer is traced to its version.",
        "",
        f"**{found.sent} requests in {total:.0f} s, {found.failed} failed, {found.by('swapped')} answered by a "
        f"version that was refused, {found.wrong} by one that was not to answer at that time.** "
        f"Median {found.median_s * 1000:.1f} ms. Machine: {os.cpu_count()} cores, {platform.machine()}, no GPU; load, "
        "checks and server share the cores.",
        "",
        f"![requests, latency and answering version over time]({picture})",
        "",
        f"| at | event | sent | failed | slow (over {_SLOW}x the median) | slowest | answered by version |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found.rows:
        event = row.event
        during = [answer.took_s for answer in found.answers if event.began_s <= answer.at_s < event.ended_s]
        slowest = f"{max(during) * 1000:.0f} ms" if during else ""
        by = ", ".join(f"{version}: {count}" for version, count in row.by_version.items())
        lines.append(
            f"| {event.began_s:.0f} s | {event.name} | {row.sent} | {row.failed} | {row.slow} | {slowest} | {by} |"
        )
    lines += ["", "During the canary, version 3 answered only who asked for `/labels/canary`.", ""]
    return "\n".join(lines)


def draw(found: Result, path: Path) -> None:
    """The timeline as an SVG: who answered, and how fast, a point a second."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "prove"
    from matplotlib import pyplot as plt

    end = int(found.rows[-1].event.ended_s) + 1
    seconds = list(range(end))
    figure, (upper, lower) = plt.subplots(2, 1, sharex=True, figsize=(14, 7), height_ratios=(1, 1))
    buckets: list[list[Answer]] = [[] for _ in seconds]
    for answer in found.answers:
        buckets[min(int(answer.at_s), end - 1)].append(answer)
    versions = sorted({answer.version for answer in found.answers})
    counts = [[sum(answer.version == version for answer in bucket) for bucket in buckets] for version in versions]
    upper.stackplot(seconds, counts, labels=[f"version {v}" if v.isdigit() else v for v in versions], step="mid")
    upper.set_ylabel("requests per second")
    upper.legend(loc="lower right", ncols=len(versions))
    for name, share in (("median", 0.5), ("99 %", 0.99)):
        lower.plot(seconds, [_quantile_ms(bucket, share) for bucket in buckets], label=name, linewidth=1)
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter("{x:g}")
    lower.yaxis.set_minor_formatter("{x:g}")
    lower.set_xlim(0, end)
    lower.set_ylabel("latency in ms")
    lower.set_xlabel("seconds")
    lower.legend(loc="upper right")
    for row in found.rows:
        for axes in (upper, lower):
            axes.axvline(row.event.began_s, color="grey", linewidth=0.5)
        if not row.event.name.endswith("serves"):
            upper.text(row.event.began_s, upper.get_ylim()[1], row.event.name, rotation=35, fontsize=7, va="bottom")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def _quantile_ms(bucket: list[Answer], share: float) -> float:
    if not bucket:
        return float("nan")
    took = sorted(answer.took_s for answer in bucket)
    return took[min(len(took) - 1, int(share * len(took)))] * 1000


def write(found: Result, engine: str, folder: Path) -> None:
    """Write prove.md and prove.svg into `folder`."""
    draw(found, folder / "prove.svg")
    files.write_atomically(folder / "prove.md", page(found, engine, "prove.svg"))
