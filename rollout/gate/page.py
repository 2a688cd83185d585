"""The report as one HTML page that needs nothing else: findings, confusion, times, and images whose answer changed."""

from __future__ import annotations

import base64
import html as markup
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rollout.gate.answers import Answered, best, same_class
from rollout.gate.heldout import read_manifest
from rollout.gate.report import Finding, Report

_MOST_IMAGES = 60
_MOST_IMAGE_BYTES = 1 << 20
_MOST_CLASSES = 40
_CELL = 22
_BAR_WIDTH = 360
_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .6rem; text-align: left; vertical-align: top }
tr + tr { border-top: 1px solid #ddd } .passed { color: #176b2c } .failed { color: #b3160b; font-weight: 600 }
.noted, .skipped { color: #666 } figure { display: inline-block; margin: 0 1rem 1rem 0; text-align: center }
figure img { width: 96px; image-rendering: pixelated; border: 1px solid #ccc } figcaption { font-size: 13px }
svg text { font: 12px system-ui, sans-serif } small { color: #666 }
"""


def html(report: Report, candidate: Path, live: Path | None) -> str:
    """The page on `candidate`, compared with the version in `live`."""
    verdict = "passed" if report.passed else "failed"
    head = f"{'It passed the gate' if report.passed else 'The gate refuses it'}: {candidate}"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>{_text(head)}</title><style>{_STYLE}</style></head><body>",
        f"<h1 class='{verdict}'>{_text(head)}</h1>",
        f"<p>Compared with {_text(live or 'nothing: there is no live version')}.</p>",
        *_findings(report.findings),
        *_times(report.findings),
        *_answers(report.answered, _class_names(candidate, live), _class_names(live, candidate)),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    yield "<h2>Checks</h2><table>"
    for each in findings:
        remedy = f"<br><small>{_text(each.remedy)}</small>" if each.verdict == "failed" and each.remedy else ""
        yield (
            f"<tr><td class='{each.verdict}'>{each.verdict}</td><td>{_text(each.name)}</td>"
            f"<td>{_text(each.detail)}{remedy}</td></tr>"
        )
    yield "</table>"


def _times(findings: tuple[Finding, ...]) -> Iterator[str]:
    """A pair of bars for each batch size that was timed."""
    figures = next((each.figures for each in findings if each.name == "latency"), {})
    batches = [name.removeprefix("ms_") for name in figures if name.startswith("ms_")]
    if not batches:
        return
    rows = [
        (f"{who}, {batch} at once", figures[f"{prefix}ms_{batch}"], colour)
        for batch in batches
        for who, prefix, colour in (("candidate", "", "#2b6cb0"), ("live", "live_", "#a0aec0"))
        if f"{prefix}ms_{batch}" in figures
    ]
    longest = max(value for _, value, _ in rows) or 1.0
    yield f"<h2>Milliseconds per request</h2><svg width='{_BAR_WIDTH + 280}' height='{24 * len(rows)}'>"
    for n, (name, value, colour) in enumerate(rows):
        width = _BAR_WIDTH * value / longest
        yield f"<text x='150' y='{24 * n + 16}' text-anchor='end'>{_text(name)}</text>"
        yield f"<rect x='160' y='{24 * n + 4}' width='{width:.1f}' height='16' fill='{colour}'/>"
        yield f"<text x='{166 + width:.1f}' y='{24 * n + 16}'>{value:.2f}</text>"
    yield "</svg>"


def _answers(answered: tuple[Answered, ...], names: tuple[str, ...], live_names: tuple[str, ...]) -> Iterator[str]:
    for each in answered:
        yield f"<h2>Held-out examples of {_text(each.whose)}</h2>"
        yield f"<p>{each.right} of {len(each.labels)} are right"
        yield f"; {each.live_right} with the live version.</p>" if each.live_rows is not None else ".</p>"
        if len(names) <= _MOST_CLASSES:
            yield from _confusion(each, names)
        if each.live_rows is not None:
            yield from _changed(each, names, live_names)


def _confusion(each: Answered, names: tuple[str, ...]) -> Iterator[str]:
    """True classes downwards, answers to the right; a wrong answer is red."""
    side = max(len(names), each.rows.shape[1])
    counts = np.zeros((side, side), np.int64)
    for label, answer in zip(each.labels, best(each.rows), strict=True):
        if 0 <= label < side and 0 <= answer < side:
            counts[label, answer] += 1
    extent = _CELL * side
    yield f"<svg width='{extent + 160}' height='{extent + 24}'>"
    for row in range(side):
        yield f"<text x='{extent + 8}' y='{_CELL * row + 16}'>{_text(_name(row, names))}</text>"
        yield f"<text x='{_CELL * row + 11}' y='{extent + 16}' text-anchor='middle'>{row}</text>"
        for column in range(side):
            colour = "#f4f4f4" if not counts[row, column] else "#9ae6b4" if row == column else "#feb2b2"
            x, y = _CELL * column, _CELL * row
            yield f"<rect x='{x}' y='{y}' width='{_CELL - 1}' height='{_CELL - 1}' fill='{colour}'/>"
            if counts[row, column]:
                yield f"<text x='{x + 11}' y='{y + 15}' text-anchor='middle'>{counts[row, column]}</text>"
    yield "</svg><p><small>Rows are true classes, columns are answers.</small></p>"


def _changed(each: Answered, names: tuple[str, ...], live_names: tuple[str, ...]) -> Iterator[str]:
    assert each.live_rows is not None
    changed = np.flatnonzero(~same_class(each))
    yield f"<h3>{len(changed)} of {len(each.labels)} images got another answer</h3>"
    live = best(each.live_rows)
    for n in changed[:_MOST_IMAGES]:
        new = int(best(each.rows)[n])
        verdict = "passed" if new == each.labels[n] else "failed"
        yield (
            f"<figure>{_image(each.images[n])}<figcaption>live: {_text(_name(int(live[n]), live_names))}<br>"
            f"<span class='{verdict}'>now: {_text(_name(new, names))}</span><br>"
            f"true: {_text(_name(each.labels[n], names))}</figcaption></figure>"
        )
    if len(changed) > _MOST_IMAGES:
        yield f"<p>… and {len(changed) - _MOST_IMAGES} more.</p>"


def _image(path: Path) -> str:
    """The file itself: a browser decodes it, this process does not."""
    try:
        content = path.read_bytes() if path.is_file() and path.stat().st_size <= _MOST_IMAGE_BYTES else b""
    except OSError:
        content = b""
    kind = next((kind for start, kind in _KINDS.items() if content.startswith(start)), None)
    if kind is None:
        return _text(path.name)
    return f"<img alt='{_text(path.name)}' src='data:image/{kind};base64,{base64.b64encode(content).decode()}'>"


def _class_names(*folders: Path | None) -> tuple[str, ...]:
    """The classes of the first of `folders` that has a manifest."""
    documents = (read_manifest(folder) for folder in folders if folder is not None)
    return next((document.classes for document in documents if document is not None), ())


def _name(index: int, names: tuple[str, ...]) -> str:
    return names[index] if 0 <= index < len(names) else f"class {index}"


def _text(value: object) -> str:
    return markup.escape(str(value), quote=True)
