"""What to compute on: every visible GPU, else the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from bundle import output


def prepare(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and let GPU memory grow instead of being taken whole.

    Call before anything runs on a device.
    """
    keras.utils.set_random_seed(seed)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def strategy() -> Any:
    """MirroredStrategy over all visible GPUs; TensorFlow's default strategy without one."""
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus]) if gpus else tf.distribute.get_strategy()


def describe() -> str:
    """The devices in words, for the log."""
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus:
        return "CPU"
    return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}"


@contextlib.contextmanager
def precision(mixed: bool) -> Iterator[None]:
    """Build models in mixed float16 inside the block when `mixed`, and in float32 after it."""
    if mixed and not tf.config.list_logical_devices("GPU"):
        output.warn("MIXED_PRECISION=true without a GPU: float16 is slower than float32 on a CPU")
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")
