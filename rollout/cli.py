"""The operator's commands. TensorFlow is imported by none of them before it is needed."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle import output
from bundle.environment import find_root, load
from bundle.errors import UsageError
from bundle.settings import Settings

Command = Callable[[Settings, argparse.Namespace], int]


def main() -> int:
    """Run one command; its exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = _parser().parse_args()
    return output.run_command(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    settings = load(find_root())
    command: Command = arguments.command
    return command(settings, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollout", description=__doc__)
    commands: Any = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, help: str) -> argparse.ArgumentParser:
        child: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
        child.set_defaults(command=command)
        return child

    add("up", _up, "from nothing to an answered prediction; changes nothing when it runs already")
    add("down", _down, "stop what `up` started")
    add("restart", _restart, "stop and start the server")
    train = add("train", _train, "train and publish the next version, and see it served")
    train.add_argument("trainer_arguments", nargs="*", help="flags of `trainer train`, behind --")
    release = add("release", _release, "release a training that `trainer train` has staged; it calls this itself")
    release.add_argument("name", metavar="NAME", help="what follows `.trained-` in the name of its folder")
    add("status", _status, "what is served, what is in drop and in quarantine")
    logs = add("logs", _logs, "the log of the server and the drop watcher")
    logs.add_argument("--no-follow", action="store_true", help="end after what is there, also on a terminal")
    watch = add("watch", _watch, "watch the drop folder in the foreground (`up` runs this in the background)")
    watch.add_argument("--alive-file", metavar="PATH", type=Path, help="touched at each look round, for a health check")
    watch.add_argument("--server", metavar="HOST", help="host of the server, when it is not on this machine")
    _add_rollouts(add)
    _add_gate(add)
    image = add("image", _image, "bake a version into a server image that needs no mount")
    image.add_argument("--version", metavar="N", type=int, help="the version, else the newest one")
    add("doctor", _doctor, "what this machine has, what is missing, what to do")
    return parser


def _add_gate(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    check = add("check", _check, "what the gate says about a SavedModel; publishes nothing")
    check.add_argument("path", metavar="PATH", type=Path, help="the folder of one SavedModel version")
    check.add_argument("--live", metavar="PATH", type=Path, help="compare with this version, not the one served now")
    check.add_argument("--json", dest="as_json", action="store_true", help="print the report as JSON")
    check.add_argument("--html", dest="page", metavar="FILE", type=Path, help="write the report as a page, with images")
    _add_allowances(check)
    serve = add("gate-serve", _gate_serve, "examine what is asked for in a folder, for commands with GATE_DIR set")
    serve.add_argument("folder", metavar="FOLDER", type=Path, help="where requests and answers are")


def _given(text: str) -> str:
    """Refuse what make hands on when a variable was not given."""
    if not text:
        raise argparse.ArgumentTypeError("found nothing, expected one; with make: FROM=path or VERSION=n")
    return text


def _path(text: str) -> Path:
    return Path(_given(text))


def _number(text: str) -> int:
    if not _given(text).isdigit():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected the number of a version")
    return int(text)


def _operation(text: str) -> str:
    from rollout.gate import operations

    try:
        operations.require_known([text])
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _add_rollouts(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    publish = add("publish", _publish, "check a SavedModel, publish it as the next version, and see it served")
    publish.add_argument("source", metavar="PATH", type=_path, help="the folder of one SavedModel version")
    publish.add_argument("--dry-run", action="store_true", help="check it and publish nothing")
    restore = add("restore", _restore, "bring a version back from quarantine, through the gate")
    restore.add_argument("version", metavar="VERSION", type=_number, help="its number")
    canary = add("canary", _canary, "let a candidate answer under the label canary, beside the live version")
    canary.add_argument(
        "source", metavar="PATH|VERSION", type=_given, help="a SavedModel folder, or a number in quarantine"
    )
    promote = add("promote", _promote, "make the canary the live version")
    add("abort", _abort, "end the canary; the live version was never touched")
    rollback = add("rollback", _rollback, "go back to the version before the live one, which leaves to quarantine")
    rollback.add_argument("--to", metavar="VERSION", type=_number, help="go back to this one")
    rollback.add_argument("--reason", default="rolled back by hand", help="for the ledger and for quarantine")
    history = add("history", _history, "what happened to each version, from the ledger")
    history.add_argument("--json", action="store_true", help="as JSON")
    publish.add_argument("--version", metavar="VERSION", type=_number, help="its number, when it is to skip some")
    for gated in (publish, restore, canary):
        _add_allowances(gated)
    for watched in (publish, restore, promote):
        watched.add_argument("--no-watch", action="store_true", help="do not watch it for WATCH_SECONDS")


def _add_allowances(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow-signature-change", action="store_true", help="let it lack or change what the live version offers"
    )
    command.add_argument(
        "--allow-unmeasured", action="store_true", help="let it pass when no known images fit it; the ledger says so"
    )
    command.add_argument(
        "--allow-op",
        dest="allow_ops",
        metavar="NAME",
        type=_operation,
        action="append",
        default=[],
        help="let it use an operation that is not on the list of what is allowed; can be given several times",
    )


def _check(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout.gate import command

    names = [field.name for field in dataclasses.fields(command.Asked)]
    given = {name: getattr(arguments, name) for name in names} | {"allow_ops": tuple(arguments.allow_ops)}
    return command.check(settings, command.Asked(**given))


def _gate_serve(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout.gate import command

    return command.serve(settings, arguments.folder)


def _up(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import operate

    return operate.up(settings)


def _down(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import operate

    return operate.down(settings)


def _restart(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import operate

    return operate.restart(settings)


def _train(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import operate

    return operate.train(settings, arguments.trainer_arguments)


def _release(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.release_training(settings, arguments.name)


def _status(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import status

    return status.show(settings)


def _logs(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import stack
    from rollout.engines.choose import build

    engine = stack.remembered(settings) or build("local", settings)
    engine.logs(follow=output.is_terminal() and not arguments.no_follow)
    return 0


def _watch(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import watch
    from rollout.engines.choose import build

    client = build("local", settings).client()
    client = dataclasses.replace(client, host=arguments.server or client.host)
    return watch.main(settings, client, arguments.alive_file)


def _publish(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.publish(settings, arguments)


def _restore(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.restore(settings, arguments)


def _canary(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.canary(settings, arguments)


def _promote(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.promote(settings, arguments)


def _abort(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import commands

    return commands.abort(settings)


def _rollback(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import commands

    return commands.rollback(settings, arguments)


def _history(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import history

    return history.show(settings, arguments.json)


def _image(settings: Settings, arguments: argparse.Namespace) -> int:
    from rollout import image

    return image.bake(settings, arguments.version)


def _doctor(settings: Settings, _: argparse.Namespace) -> int:
    from rollout import doctor

    return doctor.run(settings)


if __name__ == "__main__":
    sys.exit(main())
