"""`make prove`: the scripted day under load; exit status 0 only when no request failed or was answered wrongly."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bundle import output
from bundle.environment import find_root
from bundle.environment import load as load_settings
from bundle.errors import BundleError
from rollout.prove import bundle_copy, candidates, report
from rollout.prove.bundle_copy import MODEL, BundleCopy, UnexpectedOutcome
from rollout.prove.day import Day
from rollout.prove.load import Load

_BAD = {
    "swapped": candidates.swapped,
    "crashing": candidates.crashing,
    "hanging": candidates.hanging,
    "half": candidates.half,
}
_SEEDS = {"1": "42", "2": "7", "3": "11"}
_LEAST_SENT = 20_000
_SHORT_QUIET_S, _QUIET_S = 2.0, 10.0


def main() -> int:
    """Run the proof; its exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(prog="prove", description=__doc__)
    parser.add_argument("--engine", help="as ENGINE [that of .env]")
    parser.add_argument("--short", action="store_true", help="without what takes long, and with no least number")
    parser.add_argument("--per-second", type=float, default=40, help="requests with each protocol and signature [40]")
    parser.add_argument("--output", metavar="FOLDER", type=Path, help="where the report goes [docs]")
    arguments = parser.parse_args()
    return output.run_command(lambda: _prove(arguments))


def _prove(arguments: argparse.Namespace) -> int:
    root = find_root()
    engine = arguments.engine or load_settings(root).engine
    with tempfile.TemporaryDirectory(prefix="prove-") as scratch:
        bundle = bundle_copy.make(root, Path(scratch, "bundle"), engine)
        try:
            found = _day(bundle, Path(scratch), arguments)
        except UnexpectedOutcome as error:
            raise BundleError(str(error)) from error
        finally:
            bundle.run("rollout", "down")
    report.write(found, engine, arguments.output or root / "docs")
    output.line(
        f"{found.sent} requests, {found.failed} failed, {found.wrong} answered by a version that was not to; "
        f"median {found.median_s * 1000:.1f} ms"
    )
    for answer in [answer for answer in found.answers if answer.failed][:5]:
        output.line(f"    {answer.at_s:.1f} s, {answer.kind}: {answer.version} {answer.problem}")
    enough = arguments.short or found.sent >= _LEAST_SENT
    return 0 if enough and not found.failed and not found.wrong and not found.by("swapped") else 1


def _day(bundle: BundleCopy, scratch: Path, arguments: argparse.Namespace) -> report.Result:
    folders = _versions(bundle, scratch)
    asked = candidates.questions(folders["1"])
    answering = {name: folders[name] for name in ("1", "2", "3", "swapped")}
    known = {name: candidates.known_answers(folder, asked) for name, folder in answering.items()}
    load = Load(bundle.client, MODEL, asked, known, arguments.per_second)
    day = Day(bundle, load, folders, _SHORT_QUIET_S if arguments.short else _QUIET_S)
    load.start()
    try:
        day.run(arguments.short)
    finally:
        load.stop()
    return report.result(day.events, load.answers)


def _versions(bundle: BundleCopy, scratch: Path) -> Mapping[str, Path]:
    """Train versions 1, 2 and 3, make bad ones of 1, and bring 1 up."""
    folders = {}
    for name, seed in _SEEDS.items():
        output.step(f"training version {name}")
        bundle.run("trainer", "train", "--output", name, "--seed", seed)
        folders[name] = bundle.root / "runs" / name
    for name, make in _BAD.items():
        folders[name] = make(folders["1"], scratch / name)
    output.step("bringing version 1 up")
    bundle.run("rollout", "publish", str(folders["1"]))
    bundle.run("rollout", "up")
    return folders


if __name__ == "__main__":
    sys.exit(main())
