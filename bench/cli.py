"""The command line of the benchmark: what is measured, how long, beside what."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import cases
from bundle import output
from bundle.errors import UsageError

_ENGINES = ("model-server", "fastapi", "bare")
_RESULTS = Path(__file__).parent / "results"
_QUICK = ("lenet-28/plain/rest-bytes", "lenet-28/plain/rest-json", "resnet-32/plain/rest-bytes")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns its exit status (0 done, 1 failed or a floor missed, 2 wrong use, 130 interrupted)."""
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # `timeout` and `docker stop` ask like this: what was started is ended then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return output.run_command(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure engines on the same SavedModels, a slice of each in turn; writes bench/results/<time>/.",
    )
    parser.add_argument(
        "--only",
        type=_words,
        default=[],
        metavar="CASE,...",
        help="cases, by words with slashes between: lenet-28/rest-bytes, resnet-32/frozen, grpc-tensor",
    )
    parser.add_argument("--clients", type=_counts, default=None, metavar="N,...", help="default: 1,4,16,64")
    parser.add_argument("--engines", type=_words, default=list(_ENGINES), metavar="NAME,...", help=", ".join(_ENGINES))
    parser.add_argument(
        "--targets",
        default="",
        metavar="TARGET ...",
        help="servers to measure as well: name=host:port[,grpc=port][,pid=number], with blanks between",
    )
    parser.add_argument("--rounds", type=_positive, default=3, help="slices of each engine per case (default: 3)")
    parser.add_argument("--slice", type=_positive, default=2, metavar="SECONDS", help="a slice (default: 2)")
    parser.add_argument("--generator", choices=("auto", "wrk", "own"), default="auto", help="for REST (default: auto)")
    parser.add_argument("--switches", type=_natural, default=None, help="version switches under load (default: 3)")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FOLDER", help="default: bench/results")
    parser.add_argument("--quick", action="store_true", help="three cases at 1 and 16 clients, about two minutes")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from bench import floors, run
    from bench.engines.target import Target
    from bench.measure import Pace

    unknown = sorted(set(arguments.engines) - set(_ENGINES))
    if unknown:
        raise UsageError(f"--engines: {', '.join(unknown)}: no such engine; there are {', '.join(_ENGINES)}")
    if arguments.generator == "wrk":
        _require_wrk()
    clients = arguments.clients or ((1, 16) if arguments.quick else cases.CLIENTS)
    only = arguments.only or (_QUICK if arguments.quick else ())
    selected = bool(arguments.only or arguments.quick)
    results = run.run(
        run.Plan(
            cases=cases.select(only, clients),
            engines=arguments.engines,
            targets=[Target.parse(text) for text in arguments.targets.split()],
            pace=Pace(arguments.rounds, arguments.slice, arguments.generator),
            switches=arguments.switches if arguments.switches is not None else 0 if selected else 3,
            output=arguments.output,
            command=" ".join(["python -m bench", *sys.argv[1:]]),
        )
    )
    return 0 if floors.hold(results) else 1


def _require_wrk() -> None:
    from bench import generators

    if not generators.has_wrk():
        raise UsageError("--generator=wrk: wrk is not installed; on Debian: apt install wrk, or take --generator=own")


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _counts(text: str) -> list[int]:
    return [_positive(word) for word in _words(text)]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _natural(text: str) -> int:
    return 0 if text == "0" else _positive(text)
