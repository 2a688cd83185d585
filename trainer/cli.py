"""The `trainer` command: train and publish a version, or verify one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bundle import environment, output
from bundle.errors import UsageError
from bundle.settings import TRAINER
from trainer import models


def main() -> int:
    """Run the command; returns its exit status (0 done, 1 failed, 2 wrong use, 3 refused, 130 interrupted)."""
    arguments = _parser().parse_args()
    return output.run_command(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    train = commands.add_parser(
        "train",
        help="train a model and publish it as the next version",
        description="Train a model on a dataset and publish it as the next version. Flags win over .env.",
    )
    environment.add_arguments(train, TRAINER)
    train.add_argument(
        "--output", metavar="NAME", help="publish nothing: leave the verified version in the new folder RUNS_DIR/NAME"
    )
    verify = commands.add_parser(
        "verify",
        help="load a version and compare its answers with its manifest",
        description="Load a version and compare its answers with the logits in its manifest; publishes nothing.",
    )
    verify.add_argument("path", metavar="PATH", type=Path, help="the folder of the version")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "verify":
        return _verify(arguments.path)
    settings = environment.load(environment.find_root(), environment.overrides_from(arguments))
    target = settings.runs_dir / arguments.output if arguments.output else None
    if target is not None and target.exists():
        raise UsageError(f"{target} is there already; give --output the name of a new folder")
    model_type = models.get(settings.model_type)
    model_type.check(settings.image_size or model_type.image_size, settings.weights)
    _set_up_tensorflow()
    from trainer import train

    train.train(settings, target)
    return 0


def _verify(path: Path) -> int:
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; give the folder of one version")
    _set_up_tensorflow()
    from trainer import verify

    difference = verify.verify(path)
    output.line(f"reproduces the trained model's logits within {max(difference, 1e-9):.1g}")
    return 0


def _set_up_tensorflow() -> None:
    """Have Keras use TensorFlow, and keep its greetings out of the output unless the user asked for them."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import logging

    import tensorflow as tf

    tf.get_logger().setLevel(logging.ERROR)
