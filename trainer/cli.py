"""The `trainer` command: train a version and have it released, measure one, or verify one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bundle import environment, output
from bundle.errors import UsageError
from bundle.models_config import base_path_of
from bundle.settings import TRAINER, Settings
from bundle.versions import version_folders
from trainer import models, resume


def main() -> int:
    """Run the command; returns its exit status.

    0 done, 1 failed, 2 wrong use, 3 refused, 4 could not be checked, 130 interrupted.
    """
    arguments = _parser().parse_args()
    return output.run_command(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train",
        help="train a model and have it released as the next version",
        description=(
            "Train a model on a dataset and have it released as the next version, the one way to live: checked by the "
            "gate, noted in the ledger, published, seen to answer, watched. The drop watcher does that where one runs, "
            "else `rollout release`, which this becomes as its last step. Flags win over .env."
        ),
    )
    environment.add_arguments(train, TRAINER)
    elsewhere = train.add_mutually_exclusive_group()
    elsewhere.add_argument(
        "--output", metavar="NAME", help="release nothing: leave the verified version in the new folder RUNS_DIR/NAME"
    )
    elsewhere.add_argument(
        "--staged-as", metavar="NAME", help="stage it as .trained-NAME and end: `rollout train` releases it"
    )
    train.add_argument("--resume", metavar="RUN", help="go on with the run of that name in RUNS_DIR, with its settings")
    verify = commands.add_parser(
        "verify",
        help="load a version and compare its answers with its manifest",
        description="Load a version and compare its answers with the logits in its manifest; publishes nothing.",
    )
    verify.add_argument("path", metavar="PATH", type=Path, help="the folder of the version")
    measured = commands.add_parser(
        "evaluate",
        help="measure a version, or a model that Keras saved, on a test set",
        description=(
            "Measure a version, or a file that ends in .keras, on the test images of DATASET; no server is asked. "
            "Without PATH and --version it is the newest version of MODEL_NAME."
        ),
    )
    environment.add_arguments(measured, TRAINER)
    which = measured.add_mutually_exclusive_group()
    which.add_argument("path", metavar="PATH", type=Path, nargs="?", help="the folder of a version, or a .keras file")
    which.add_argument("--version", metavar="N", type=int, help="the version of MODEL_NAME with that number")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "verify":
        return _verify(arguments.path)
    if arguments.command == "evaluate":
        return _evaluate(arguments)
    root, given = environment.find_root(), environment.overrides_from(arguments)
    settings, run = environment.load(root, given), None
    if arguments.resume:
        run = resume.run_named(settings, arguments.resume)
        settings = environment.load(root, given | resume.settings_of(run, settings, given))
    folder = settings.runs_dir / arguments.output if arguments.output else None
    if folder is not None and folder.exists():
        raise UsageError(f"{folder} is there already; give --output the name of a new folder")
    model_type = models.get(settings.model_type)
    model_type.check(settings.image_size or model_type.image_size, settings.weights)
    if folder is None:
        base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)
    _set_up_tensorflow()
    from trainer import train

    name = train.train(settings, train.Target(folder, arguments.staged_as), run)
    if name is not None and arguments.staged_as is None:
        _become_release(settings, name)
    return 0


def _become_release(settings: Settings, name: str) -> None:
    """Replace this process by the one that releases what was staged: its output and exit status are this command's."""
    here = {"MODEL_NAME": settings.model_name}
    here |= {name.upper(): str(getattr(settings, name)) for name in ("models_dir", "quarantine_dir", "runs_dir")}
    os.execve(sys.executable, [sys.executable, "-m", "rollout.cli", "release", name], {**os.environ, **here})


def _verify(path: Path) -> int:
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; give the folder of one version")
    _set_up_tensorflow()
    from trainer import verify

    difference = verify.verify(path)
    output.line(f"reproduces the trained model's logits within {max(difference, 1e-9):.1g}")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    given = environment.overrides_from(arguments)
    asked = environment.given_to_make() | given
    if "DATA_DIR" in asked and "DATASET" not in asked:
        given = given | {"DATASET": "folder"}  # What else would it be for?
    settings = environment.load(environment.find_root(), given)
    path = arguments.path or _version_folder(settings, arguments.version)
    _set_up_tensorflow()
    from trainer import measure

    measure.measure(settings, path)
    return 0


def _version_folder(settings: Settings, number: int | None) -> Path:
    base_path = base_path_of(settings.model_name, settings.root / "models.config", settings.models_dir)
    folders = {n: path for n, path in version_folders(base_path).items() if n > 0}
    if not folders or (number is not None and number not in folders):
        there = ", ".join(map(str, folders)) or "none"
        wanted = "no version" if number is None else f"no version {number}"
        raise UsageError(f"{base_path} holds {wanted}; it holds {there}. Name another one, or: make train")
    return folders[max(folders) if number is None else number]


def _set_up_tensorflow() -> None:
    """Have Keras use TensorFlow, and keep its greetings out of the output unless the user asked for them."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import logging

    import tensorflow as tf

    tf.get_logger().setLevel(logging.ERROR)
